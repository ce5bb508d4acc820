"""When a cluster outlives the process that started it."""

from node_play import ANNA, BEN, Play

from nbray.runtime.core import effects as fx
from nbray.runtime.core.node.outliving import Outliving
from nbray.wire import messages as m

OWNER = ANNA & 0xFFFF
"""Anna's process, as `Play` registers her."""


def stays(play: Play) -> list[bool]:
    found = [effect.on for effect in play.effects if isinstance(effect, fx.Outlive)]
    play.effects.clear()
    return found


def test_nobody_asked():
    stay = Outliving(7)
    assert stay.settle({1}, [8]) == []
    assert not stay.handed_over


def test_it_stays_while_one_that_asked_lives_or_another_driver_is_attached():
    stay = Outliving(7)
    assert stay.keep(1, True)
    assert stay.settle({1}, [7]) == [fx.Outlive(True)]
    assert stay.settle({1}, [7]) == []
    assert stay.settle({1}, []) == []  # the owner has gone
    stay.keep(1, False)
    assert stay.settle({1}, [9]) == []  # somebody looks at the result
    assert stay.settle({1}, []) == [fx.Outlive(False)]


def test_the_end_of_who_asked_is_as_good_as_taking_it_back():
    stay = Outliving(7)
    stay.keep(1, True)
    stay.settle({1}, [])
    assert stay.settle({2}, []) == [fx.Outlive(False)]


def test_without_an_owner_there_is_nothing_to_outlive():
    stay = Outliving(0)
    assert not stay.keep(1, True)
    assert stay.settle({1}, []) == []


def test_the_node_hands_over_before_it_answers():
    play = Play(owner=OWNER)
    play.register(ANNA, driver=True)
    play.register(BEN, driver=True)
    play.effects.clear()
    play.say(m.Outlive(BEN, 3, True))
    kinds = [
        type(getattr(effect, "message", effect)) for effect in play.effects
    ]
    assert kinds.index(fx.Outlive) < kinds.index(m.Outlives)
    assert play.take(m.Outlives, BEN) == [m.Outlives(play.brain.me, 3, True)]
    assert stays(play) == [True]
    play.do(play.brain.client_gone(ANNA, "killed", play.now))
    assert stays(play) == []
    play.do(play.brain.client_gone(BEN, "killed", play.now))
    assert stays(play) == [False]


def test_a_stranger_keeps_nothing():
    play = Play(owner=OWNER)
    play.say(m.Outlive(BEN, 3, True))
    assert play.take(m.Outlives, BEN)
    assert stays(play) == []
