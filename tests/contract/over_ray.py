"""What the engine over a Ray cluster does otherwise: each with its reason and its tests.

The contract leaves these tests out over that engine, and docs/engines.md has the same rows. At most
fifteen: what is not in here is as it is natively, or a fault.
"""

from __future__ import annotations

from typing import NamedTuple


class Lack(NamedTuple):
    """One difference.

    Attributes:
        what: as a heading.
        reason: what Ray does, or cannot tell.
        tests: 'file::test' of the contract, without parameters; or 'file'.
    """

    what: str
    reason: str
    tests: tuple[str, ...]


LACKS: tuple[Lack, ...] = (
    Lack(
        "some figures of a cell, and actors in the picture of the cluster",
        "starts, ends and prints come by a mailbox, every 50 ms: what a task that died had "
        "launched, and the wait for CPUs, are not among them",
        (
            "test_scheduling::test_the_snapshot_shows_the_node_and_actors",
            "test_nested_counts::test_a_parent_that_dies_leaves_no_bar_below_full",
            "test_receipts::test_who_waits_for_a_cpu_that_others_have_is_counted",
        ),
    ),
    Lack(
        "what every process is doing",
        "Ray's processes tell no details of tasks, objects and what holds them; its state API is "
        "late and cuts lists without a word",
        (
            "test_ending_by_itself::test_what_it_has_run_is_known_when_it_is_gone",
            "test_options_have_effect::test_the_name_of_a_call_is_what_screens_show",
            "test_locations::test_where_objects_lie",
            "test_generators::test_why_a_stream_waits",
            "test_generators::test_what_was_not_taken_is_freed",
            "test_environments::test_environments_are_listed_with_who_is_in_them",
            "test_history",
            "test_memory",
            "test_edited::test_what_is_large_is_stored_once_and_picked_up_when_it_is_replaced",
            "test_state",
        ),
    ),
    Lack(
        "cancelling",
        "Ray interrupts where a task is, once C code and sleeps have ended, and begins cancelled "
        "calls of actors; what a cancelled stream had yielded may still be read",
        (
            "test_generators::test_cancel_ends_a_stream",
            "test_map::test_leaving_a_loop_cancels_the_rest",
            "test_map::test_an_interrupt_while_it_waits_cancels_the_rest",
            "test_cancel_recursive::test_stopping_a_cell_interrupts_calls_of_actors",
            "test_cancelled_calls::test_calls_behind_it_that_are_cancelled_never_begin",
            "test_cancelled_imports::test_an_import_is_not_cut_in_half",
        ),
    ),
    Lack(
        "CPUs of tasks that wait, and of default actors",
        "a waiting task's CPU goes to others, and both run on; one whose threads wait keeps it; an "
        "actor needs a free CPU to start",
        (
            "test_busy_cpus::test_a_default_actor_answers_beside_busy_cpus",
            "test_busy_cpus::test_an_actor_that_asks_for_a_cpu_waits_for_it",
            "test_cpu_limit::test_no_more_run_than_there_are_cpus",
            "test_cpu_limit::test_threads_of_a_task_may_wait_for_its_children",
            "test_cpu_limit::test_who_has_run_out_of_time_can_cancel_what_has_its_cpu",
            "test_cpu_limit::test_who_is_cancelled_waits_for_no_cpu",
        ),
    ),
    Lack(
        "references inside large arguments of an actor that restarts",
        "Ray forgets them once the actor was made",
        ("test_captured::test_an_actor_keeps_its_arguments_as_long_as_it_may_restart",),
    ),
    Lack(
        "words of an environment that could not be made",
        "Ray makes it, and tells of it as its packages' installer did",
        ("test_environments::test_what_takes_too_long_says_how_long_it_had",),
    ),
    Lack(
        "references that are made of an id alone",
        "Ray counts a reference where it is passed: a process that was given its id alone does not "
        "know the object",
        ("test_ids::test_a_reference_comes_back_from_its_id",),
    ),
    Lack(
        "programs that are submitted as jobs",
        "a Ray cluster runs them itself: `ray job submit`, and its own client",
        ("test_job_submission",),
    ),
    Lack(
        "a stream that nobody holds",
        "its task is cancelled by Ray where it is, not where it yields next",
        ("test_generators::test_a_stream_that_nobody_holds_ends_where_it_yields",),
    ),
    Lack(
        "work in a placement group that was removed",
        "Ray leaves what waits for it waiting",
        (
            "test_placement_groups::test_a_removed_group_is_over_at_once_and_for_every_shape_of_work",
            "test_placement_groups::test_a_retried_task_ends_with_its_group",
        ),
    ),
    Lack(
        "`object_store_memory` of an actor",
        "Ray reserves nothing for it, and has deprecated it",
        ("test_strategies::test_store_memory_is_reserved_for_actors_alone",),
    ),
    Lack(
        "how worker processes are started",
        "Ray starts each as a program of its own: with its own seed of hashes, without nbray's care "  # noqa: E501
        "for processes that a task forks, and without words for a module that only the driver has",
        (
            "test_kinds_of_classes::test_all_workers_agree_on_hashes",
            "test_kinds_of_classes::test_a_forked_process_of_a_task_takes_interrupts_as_any",
            "test_kinds_of_classes::test_a_forked_process_that_comes_back_ends_and_does_none_of_the_workers_work",
            "test_on_behalf::test_what_a_worker_lacks_is_named",
        ),
    ),
)
