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
        tests: 'file::test' of the contract, without parameters, that show nbray's.
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
        "a bare `RayTaskError`, or `UnserializableException`",
        "an error of the user's class, without what could not travel",
        "`except` clauses of programs keep working",
        (
            "test_exception_shapes::test_an_exception_is_a_value_like_any_other",
            "test_exception_shapes::test_an_actor_keeps_and_raises_exceptions",
            "test_exception_shapes::test_classes_that_forbid_subclasses_are_caught_by_their_names",
        ),
    ),
    Difference(
        "what can be remote",
        "functions and classes that are defined in Python",
        "also builtins and `functools.partial`",
        "there is no reason to refuse them",
        (
            "test_tasks::test_a_lambda_and_a_partial_can_be_remote",
            "test_tasks::test_a_builtin_can_be_remote",
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
        ("test_cpu_limit::test_no_more_run_than_there_are_cpus",),
    ),
    Difference(
        "options of options",
        "`.options()` once",
        "`.options().options()` add up",
        "a library sets some, its user others",
        ("test_tasks::test_options_add_up",),
    ),
    Difference(
        "signatures",
        "`(*args, **kwargs)`",
        "remote functions, classes and methods show the user's own",
        "Shift-Tab in a notebook",
        (
            "test_tasks::test_the_signature_and_docstring_are_the_functions_own",
            "test_actors::test_handles_show_methods_with_signatures",
        ),
    ),
)
