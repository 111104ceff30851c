"""Plugins: found without an import, judged without their code, loaded one by one behind a guard."""
