"""The cases of the keeper, run through SSH: a run begins and ends in the same way wherever it runs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _cases(name: str) -> ModuleType:
    """A fresh copy of a module of the keeper's tests, so that its fixtures are ours."""
    spec = importlib.util.spec_from_file_location(f"shared_{name}", Path(__file__).parents[2] / f"keeper/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_NAMES = ("test_running", "test_endings", "test_starting", "test_failures", "test_forging", "test_idle", "test_lease")
_local, _endings, _starting, _failures, _forging, _idle, _lease = map(_cases, _NAMES)

test_runs_setup_then_command = _local.test_runs_setup_then_command_and_keeps_their_output_in_order
test_keeps_the_exit_code = _local.test_keeps_the_exit_code
test_keeps_the_signal_that_ended_the_job = _local.test_keeps_the_signal_that_ended_the_job
test_a_signal_that_a_shell_passed_on = _local.test_a_signal_that_a_shell_passed_on_is_named_too
test_setup_that_fails = _local.test_setup_that_fails_ends_the_run_before_its_command
test_runs_in_a_fresh_copy_of_the_workdir = _local.test_runs_in_a_fresh_copy_of_the_workdir
test_text_of_any_kind = _local.test_text_of_any_kind_reaches_the_job_unchanged
test_job_reads_nothing = _local.test_job_reads_nothing_from_our_terminal
test_redirecting_to_the_own_output = _local.test_redirecting_to_the_own_output_keeps_what_stood_before
test_null_character_in_a_secret = _local.test_null_character_in_a_secret_is_refused
test_logs_resume_at_the_exact_byte = _local.test_logs_resume_at_the_exact_byte_and_follow_to_the_end
test_nothing_is_known = _local.test_nothing_is_known_of_what_was_never_started

test_cancel_ends_grandchildren = _endings.test_cancel_ends_grandchildren_that_left_session_group_and_parent
test_time_limit_ends_the_whole_tree = _endings.test_time_limit_ends_the_whole_tree
test_time_limit_holds_in_setup = _endings.test_time_limit_holds_in_setup_too
test_what_a_command_leaves_behind = _endings.test_what_a_command_leaves_behind_ends_with_it
test_a_service_of_setup = _endings.test_a_service_of_setup_lives_as_long_as_the_command
test_job_may_tidy_up = _endings.test_job_may_tidy_up_when_it_is_cancelled
test_a_stopped_job = _endings.test_a_stopped_job_can_be_cancelled
test_cancel_before_the_start = _endings.test_cancel_before_the_start_forbids_it
test_run_whose_keeper_was_killed = _endings.test_run_whose_keeper_was_killed_is_lost_and_cancel_cleans_up
test_tree_that_is_never_still = _endings.test_tree_that_is_never_still_ends

test_second_start = _starting.test_older_epoch_is_refused_and_changes_nothing
test_newer_epoch_takes_over = _starting.test_newer_epoch_takes_over_what_runs_and_fences_the_older_off
test_other_attempts_and_ranks = _starting.test_other_attempts_and_ranks_are_runs_of_their_own

test_a_command_that_fails = _failures.test_a_command_that_fails_is_started_again_in_its_folder
test_the_last_failure = _failures.test_the_last_failure_is_the_end
test_failures_are_told = _failures.test_failures_are_told_while_it_goes_on
test_a_pause_ends = _failures.test_a_pause_ends_when_the_run_is_told_to_stop
test_what_a_failed_command_leaves = _failures.test_what_a_failed_command_leaves_ends_and_what_setup_began_lives_on
test_setup_is_not_tried_again = _failures.test_setup_is_not_tried_again
test_a_signal_that_is_not_ours = _endings.test_a_signal_that_is_not_ours_is_a_loss_and_no_cancellation

driver = _idle.driver


@pytest.fixture
def gpu_host(make_server: Any, make_host: Any, driver: Path) -> Any:
    server = make_server(f"SetEnv PATH={driver}:{os.environ['PATH']}")
    host = make_host(server)
    host.reach(host_keys=(server.host_key,))
    return host


# Each of these holds in the same way everywhere.
for _module in (_forging, _idle, _lease):
    globals().update({name: case for name, case in vars(_module).items() if name.startswith("test_")})
