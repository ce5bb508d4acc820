"""What differs from Ray on purpose: behaviours, each with its reason and its tests.

The contract leaves these tests out over the real Ray, and docs/ray-compatibility.md is made of
the same table. At most ten: what is not in here is Ray's, or a fault.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One behaviour.

    Attributes:
        behaviour: what it is about, as a heading.
        ray, nbray: what each does.
        reason: why nbray does otherwise.
        tests: 'file::test' of the contract, without parameters, that show nbray's; or 'file'.
    """

    behaviour: str
    ray: str
    nbray: str
    reason: str
    tests: tuple[str, ...]


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "words of errors",
        "the class, and a sentence",
        "the same class; the sentence names the function or argument, and what to do",
        "a notebook shows the last line first, and it should be enough",
        (
            "test_objects::test_get_of_a_list_with_something_else_is_refused",
            "test_objects::test_wait_refuses_duplicates",
            "test_objects::test_wait_refuses_impossible_counts",
            "test_objects::test_wait_refuses_other_things",
            "test_objects::test_a_reference_is_not_iterable",
            "test_actor_names::test_a_missing_name",
            "test_actors::test_an_unknown_method_is_an_attribute_error",
            "test_errors::test_the_message_starts_with_the_users_line",
            "test_on_behalf",
        ),
    ),
    Difference(
        "negative times to wait",
        "some are taken as none at all",
        "`ValueError`",
        "a negative time is a mistake in the program",
        ("test_objects::test_negative_times_are_refused",),
    ),
    Difference(
        "`pickle.dumps` of an `ObjectRef`",
        "works; the object is then never freed",
        "`TypeError`, which says to pickle `ray.get(ref)`",
        "what is written to a file cannot be counted, and outlives the cluster",
        ("test_objects::test_a_reference_cannot_be_pickled_by_others",),
    ),
    Difference(
        "exceptions that cannot be pickled or made again",
        "a bare `RayTaskError`, or `UnserializableException`; what `get` raises cannot be pickled, "
        "and its `args` are the cause",
        "an error of the user's class, without what could not travel; what `get` raises can be "
        "pickled, has the `args` of the cause, and says where it happened (`function_name`, `pid`, "
        "`traceback_str`)",
        "`except` clauses of programs keep working",
        (
            "test_exception_shapes::test_an_exception_is_a_value_like_any_other",
            "test_exception_shapes::test_an_actor_keeps_and_raises_exceptions",
            "test_exception_shapes::test_classes_that_forbid_subclasses_are_caught_by_their_names",
            "test_exception_shapes::test_groups_of_tasks_of_asyncio_are_split",
            "test_exception_shapes::test_what_a_group_holds_may_be_nested_and_half_unpicklable",
            "test_exception_shapes::test_the_state_of_an_error_passes_through_nested_tasks",
            "test_exception_shapes::test_a_stop_iteration_ends_nobodys_loop",
            "test_exception_shapes::test_a_dataclass_with_slots_keeps_its_fields",
            "test_errors::test_an_exception_that_cannot_be_pickled",
            "test_errors::test_the_error_can_be_pickled",
            "test_errors::test_the_error_says_where_it_happened",
            "test_errors::test_an_exception_whose_init_takes_other_arguments",
        ),
    ),
    Difference(
        "what is taken",
        "functions and classes that are defined in Python; one `.options()`; `(*args, **kwargs)`",
        "also builtins, `functools.partial` and what `functools` wraps, subclasses of builtins, "
        "asynchronous generators as tasks; `.options().options()` add up; a remote class has its "
        "constants, and everything shows the user's own signature; `kwds` of a `Pool`, its `imap` "
        "after `close`, joblib's `return_as='generator'`, as the standard library and joblib say",
        "there is no reason to refuse them; Shift-Tab in a notebook",
        (
            "test_tasks::test_a_lambda_and_a_partial_can_be_remote",
            "test_tasks::test_a_builtin_can_be_remote",
            "test_tasks::test_options_add_up",
            "test_tasks::test_the_signature_and_docstring_are_the_functions_own",
            "test_actors::test_handles_show_methods_with_signatures",
            "test_kinds_of_classes::test_constants_and_static_methods_of_a_remote_class",
            "test_kinds_of_classes::test_methods_that_functools_has_wrapped",
            "test_kinds_of_classes::test_arguments_of_methods_may_have_any_name",
            "test_kinds_of_classes::test_builtin_bases",
            "test_generators::test_an_asynchronous_generator_as_a_task",
            "test_pool::test_keyword_arguments_by_the_standard_librarys_name",
            "test_pool::test_what_is_read_lazily_goes_on_after_close",
            "test_joblib::test_results_one_by_one",
        ),
    ),
    Difference(
        "the order of `ready` in `wait`",
        "as they ended",
        "as they were given",
        "results of programs do not depend on chance",
        ("test_objects::test_wait_returns_at_most_num_returns_in_order",),
    ),
    Difference(
        "CPUs of tasks that wait",
        "a waiting task's CPU goes to others, and both run on when it has what it waited for",
        "it goes on when a CPU is free again",
        "no more run than `num_cpus` allows: on a laptop more only get into each other's way",
        (
            "test_cpu_limit::test_no_more_run_than_there_are_cpus",
            "test_cpu_limit::test_threads_of_a_task_may_wait_for_its_children",
            "test_cpu_limit::test_who_has_run_out_of_time_can_cancel_what_has_its_cpu",
            "test_cpu_limit::test_who_is_cancelled_waits_for_no_cpu",
        ),
    ),
    Difference(
        "default actors beside busy CPUs",
        "need a free CPU to start, and none to run",
        "need none",
        "an actor in a notebook answers while the cell before it works",
        (
            "test_busy_cpus::test_a_default_actor_answers_beside_busy_cpus",
            "test_busy_cpus::test_one_that_an_actor_makes_answers_too",
            "test_busy_cpus::test_an_actor_that_asks_for_a_cpu_waits_for_it",
        ),
    ),
    Difference(
        "work that is of no use any more",
        "a generator whose stream nobody holds runs to its end; what waits for a removed placement "
        "group waits for ever, and a task in one that may be tried again runs on",
        "the generator ends where it yields next; the others fail with `TaskPlacementGroupRemoved`",
        "nobody can read what it makes, and nobody should wait for what cannot come",
        (
            "test_generators::test_a_stream_that_nobody_holds_ends_where_it_yields",
            "test_placement_groups::test_a_removed_group_is_over_at_once_and_for_every_shape_of_work",
            "test_placement_groups::test_a_retried_task_ends_with_its_group",
        ),
    ),
    Difference(
        "cells that run again",
        "`init` raises `RuntimeError`; a remote function keeps what its names meant when it was "
        "first called",
        "`init` goes on with the cluster that runs (in a script it raises, as Ray's); names mean "
        "what they mean when it is called",
        "what was edited and run again is what is meant",
        (
            "test_scheduling::test_a_cell_that_calls_init_again_has_the_same_session",
            "test_edited",
        ),
    ),
)
