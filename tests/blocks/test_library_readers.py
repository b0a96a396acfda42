"""Who may see what: an answer quotes only what every one of its readers may read."""

import pytest

from blocks.library import ANYONE, STRANGERS, audience_of, may_see, readers_of

COLLEAGUES = "domain:dockwell.example"
ANN, BEN = audience_of("ann@dockwell.example"), audience_of("ben@northwind.example")


def test_readers_are_written_in_lower_case() -> None:
    assert readers_of([" Anyone ", "Domain:Dockwell.Example", "user:Ann@Dockwell.example", "group:all@b.example"]) == {
        ANYONE,
        COLLEAGUES,
        "user:ann@dockwell.example",
        "group:all@b.example",
    }
    assert readers_of([]) == frozenset()


@pytest.mark.parametrize(
    "name",
    [
        "", "everyone", "ann@dockwell.example", "user:ann", "user:@", "user:a@b@c.example", "user:ann @b.example",
        "domain:", "domain:a@b.example", "domain:a b", "group:all", "role:admin", "anyone, domain:b.example",
    ],
)  # fmt: skip
def test_what_is_no_reader_is_refused_with_what_is_one(name: str) -> None:
    with pytest.raises(ValueError, match="is no reader; write anyone, ") as caught:
        readers_of([ANYONE, name])
    assert f"'{name}'" in str(caught.value)


def test_an_audience_is_the_address_its_domain_and_anyone() -> None:
    assert audience_of(" Ann@Dockwell.Example ") == {ANYONE, COLLEAGUES, "user:ann@dockwell.example"}


@pytest.mark.parametrize(
    "address",
    [
        "", "ann", "dockwell.example", "@dockwell.example", "ann@", "mallory@evil.example@dockwell.example",
        "Ann <ann@dockwell.example>", "ann@dockwell.example, ben@b.example", "ann@evil.example:x@dockwell.example",
    ],
)  # fmt: skip
def test_what_is_no_address_sees_what_strangers_see(address: str) -> None:
    assert audience_of(address) == STRANGERS


@pytest.mark.parametrize(
    ("readers", "ann", "ben"),
    [
        ({ANYONE}, True, True),
        ({COLLEAGUES}, True, False),
        ({"user:ben@northwind.example"}, False, True),
        ({"user:ben@northwind.example", COLLEAGUES}, True, True),
        ({"domain:sub.dockwell.example"}, False, False),
        ({"domain:well.example"}, False, False),
        ({"user:ben@dockwell.example"}, False, False),
        ({"group:support@dockwell.example"}, False, False),
        (set(), False, False),
    ],
)
def test_who_may_see_it(readers: set[str], ann: bool, ben: bool) -> None:
    assert (may_see(readers, [ANN]), may_see(readers, [BEN])) == (ann, ben)


def test_what_one_of_several_may_not_see_is_not_shown() -> None:
    assert may_see({COLLEAGUES}, [ANN, audience_of("mara@dockwell.example")])
    assert not may_see({COLLEAGUES}, [ANN, BEN])
    assert not may_see({COLLEAGUES}, [ANN, STRANGERS])
    assert may_see({ANYONE}, [ANN, BEN, STRANGERS])


def test_without_an_audience_nobody_is_kept_from_anything() -> None:
    assert may_see(set(), [])
