import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from el.base.text import context_window, normalise, plain_characters, plain_one_for_one, spell_greek


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Acute  kidney\ninjury", "acute kidney injury"),
        ("TNFα", "TNF-alpha"),
        ("β-Endorphin", "beta endorphin"),
        ("Parkinson's Disease", "parkinson disease"),
        ("Parkinson’s disease", "Parkinson's disease"),
        ("Sjögren Syndrome", "Sjogren syndrome"),
        ("anti-inflammatory agents", "anti inflammatory agents"),
        ("H₂O", "H2O"),
        ("2′-Deoxyuridine", "2'-deoxyuridine"),
        ("ß-thalassemia", "beta-thalassemia"),
        ("TGFß1", "TGF-beta-1"),
        ("N₂O₄", "N2O4"),
        ("Ca²⁺", "Ca2+"),
        ("ﬁbrous dysplasia", "fibrous dysplasia"),
        ("acetamino\u00adphen", "acetaminophen"),
        ("renal\u00a0failure", "renal failure"),
        ("cis\u200bplatin", "cisplatin"),
        ("5‐FU", "5-FU"),
        ("µ-opioid", "μ-opioid"),
        ("Ｋ⁺", "K+"),
        ("Tylenol™", "Tylenol"),
        ("Sjøgren syndrome", "Sjogren syndrome"),
        ("œdema", "oedema"),
        ("Аspirin", "Aspirin"),
    ],
)
def test_spellings_of_one_name_become_equal(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,2-dichloroethane", "12-dichloroethane"),
        ("2'-deoxyuridine", "2-deoxyuridine"),
        ("2''-O-acetyl", "2'-O-acetyl"),
        ("Na+", "Na"),
        ("(+)-tubocurarine", "(-)-tubocurarine"),
        ("vitamin B 12", "vitamin B12"),
    ],
)
def test_punctuation_that_tells_chemicals_apart_stays(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_normalised_text_is_words_with_single_spaces() -> None:
    assert normalise(" (1,2)-Di_chloro/ethane. ") == "1 2 di chloro ethane"
    assert normalise("'hypertension'") == "hypertension"
    assert normalise("x ″ y") == "x y"
    assert normalise("--") == ""


@given(st.text())
@example("İ ℡ ﬁ ǰ ς ´ ʹ 2`s 2ŉ")
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())


ASCII = "".join(map(chr, range(128)))


def normalised_the_general_way(text: str) -> str:
    """A blank beyond ASCII behind the text, which leaves no trace, rules the short way out."""
    return normalise(f"{text}\u00a0")


@settings(max_examples=500)
@given(
    st.text(ASCII)
    | st.text("aBs1+_-' `.,\t")
    | st.lists(st.sampled_from(["2'", "'s", "`", "_", "é", "α", "Na+", "(1,2)", "X", " "])).map("".join)
)
@example(ASCII)
@example(ASCII.replace("'", "").replace("`", ""))
def test_the_short_way_for_ascii_is_the_general_way(text: str) -> None:
    assert normalise(text) == normalised_the_general_way(text)


def test_every_pair_of_ascii_characters_is_normalised_the_general_way() -> None:
    for one in ASCII:
        for other in ASCII:
            text = f"{one}{other}s {one}1{other}"
            assert normalise(text) == normalised_the_general_way(text), text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Weiß disease", "Weiß disease"),
        ("ß-blocker, IL-1ß", "β-blocker, IL-1β"),
        ("“heart” – ‘lung’", "\"heart\" - 'lung'"),
        ("a\x07b", "a b"),
        ("naloxone\U0001f600rash", "naloxone rash"),
        ("e\u0301tat", "état"),
        ("диабет", "диабет"),
        ("H\u2060I\ufeffV", "HIV"),
        ("x´y¨z", "x'y z"),
        ("½ ℃ Ⅳ", "1/2 °C IV"),
    ],
)
def test_characters_that_look_alike_are_one(text: str, plain: str) -> None:
    assert plain_characters(text) == plain


def test_greek_letters_are_spelled() -> None:
    assert (
        spell_greek("TNFα and β-carotene, αβ, Δ9-THC")
        == "TNF alpha and beta-carotene, alpha beta, delta 9-THC"
    )


@given(st.text())
def test_plain_characters_stay_plain(text: str) -> None:
    plain = plain_characters(text)
    assert plain_characters(plain) == plain
    assert len(plain_one_for_one(text)) == len(text)


def test_context_is_cut_at_the_offsets_not_at_the_first_occurrence() -> None:
    text = "pain after lithium, and pain without lithium"
    assert context_window(text, 24, 28, 100) == ("pain after lithium, and ", " without lithium")


def test_context_ends_between_words() -> None:
    text = "severe renal failure caused by cisplatin"
    assert context_window(text, 13, 20, 9) == ("renal ", " caused")
    assert context_window(text, 13, 20, 6) == ("renal ", "")
    assert context_window(text, 13, 20, 5) == ("", "")


def test_context_keeps_what_touches_the_mention() -> None:
    text = "a cisplatin-induced nephropathy"
    assert context_window(text, 2, 11, 8) == ("a ", "-induced")


def test_no_context() -> None:
    assert context_window("renal failure", 0, 5, 0) == ("", "")


@pytest.mark.parametrize(("start", "stop", "characters"), [(-1, 2, 5), (3, 2, 5), (0, 99, 5), (0, 2, -1)])
def test_impossible_windows_are_refused(start: int, stop: int, characters: int) -> None:
    with pytest.raises(ValueError, match="characters"):
        context_window("renal", start, stop, characters)


@given(st.text(alphabet="ab \n", max_size=40), st.data())
def test_windows_are_in_place_within_bounds_and_whole_words(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    characters = data.draw(st.integers(0, 50))
    left, right = context_window(text, start, stop, characters)
    assert text[:start].endswith(left)
    assert text[stop:].startswith(right)
    assert max(len(left), len(right)) <= characters
    before, after = text[: start - len(left)], text[stop + len(right) :]
    assert not left or not before or before[-1].isspace()
    assert not right or not after or after[0].isspace()


def test_long_words_take_little_time() -> None:
    start = time.perf_counter()
    for word in ("acgt" * 20_000 + "é", "\u0430" * 80_000, "acgt" * 20_000 + "\u0430"):
        plain_characters(word)
    assert time.perf_counter() - start < 20
