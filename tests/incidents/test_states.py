import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import IllegalMove
from incidents import states

VERBS = ["acknowledge", "start", "remediate", "resolve", "close"]
ORDER = ["triggered", "acknowledged", "investigating", "remediating", "resolved", "closed"]


@pytest.mark.parametrize("state", states.OPEN)
def test_resolve_is_legal_from_every_open_state(state):
    assert states.after("resolve", state) == "resolved"


@pytest.mark.parametrize("state", ["resolved", "closed"])
def test_what_is_over_cannot_be_acknowledged_and_the_text_says_what_to_do(state):
    with pytest.raises(IllegalMove) as refused:
        states.after("acknowledge", state)
    assert refused.value.status == 409
    assert "new incident" in refused.value.message


def test_the_verbs_offered_are_those_that_are_legal():
    for state in ORDER:
        legal = {verb for verb in VERBS if (state, verb) in states.MOVES}
        assert legal == set(states.verbs(state)) - {"escalate", "reassign", "snooze"}


class Walk(RuleBasedStateMachine):
    """Whatever people press, the state only moves forward."""

    def __init__(self):
        super().__init__()
        self.state, self.reached = "triggered", 0

    @rule(verb=st.sampled_from(VERBS))
    def press(self, verb):
        try:
            self.state = states.after(verb, self.state)
        except IllegalMove as refused:
            assert states.NEXT_STEP[self.state] in refused.message

    @invariant()
    def never_goes_back(self):
        place = ORDER.index(self.state)
        assert place >= self.reached
        self.reached = place


Walk.TestCase.settings = settings(max_examples=100, deadline=None)
TestWalk = Walk.TestCase
