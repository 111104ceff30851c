"""The output of a job: copy it here before the machine goes (`keep`), bring files here on request (`pull`), open a shell."""
