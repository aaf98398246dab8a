"""Made-up documents for property tests: any characters, gaps between passages, mentions anywhere."""

from hypothesis import settings
from hypothesis import strategies as st

from el.corpus.types import Document, Mention, Passage, Span

# Files are written for every example, on machines that may be busy.
few = settings(max_examples=50, deadline=None)

# No control characters (XML cannot hold most of them) and no surrogates (UTF-8 cannot).
TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab αβ é\u2028\u0085😀𝔸"),
        st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"),
    ),
    min_size=1,
    max_size=40,
)
IDS = st.lists(st.from_regex(r"[CD][0-9]{6}|OMIM:[0-9]{6}", fullmatch=True), max_size=3).map(tuple)
RELATIONS = st.lists(st.tuples(st.just("CID"), st.just("D000001"), st.just("D000002")), max_size=2).map(tuple)


@st.composite
def documents(draw: st.DrawFn, max_pieces: int = 3) -> Document:
    """Documents without composites; mentions have up to `max_pieces` pieces."""
    passages: list[Passage] = []
    end = 0
    for number in range(draw(st.integers(1, 3))):
        offset = end + draw(st.integers(0, 4))
        text = draw(TEXTS)
        passages.append(Passage(f"kind {number}", offset, text))
        end = offset + len(text)
    return _with_mentions(draw, tuple(passages), max_pieces)


@st.composite
def abstracts(draw: st.DrawFn) -> Document:
    """Documents that PubTator can hold."""
    title, abstract = draw(TEXTS), draw(TEXTS)
    passages = (Passage("title", 0, title), Passage("abstract", len(title) + 1, abstract))
    return _with_mentions(draw, passages, max_pieces=1)


def _with_mentions(draw: st.DrawFn, passages: tuple[Passage, ...], max_pieces: int) -> Document:
    bare = Document("12345", passages)
    length = len(bare.text)
    found: list[tuple[Span, ...]] = []
    for _ in range(draw(st.integers(0, 4))):
        most = min(max_pieces, (length + 1) // 2)
        pieces = draw(st.integers(1, most))
        cuts = sorted(draw(st.sets(st.integers(0, length), min_size=2 * pieces, max_size=2 * pieces)))
        found.append(tuple(Span(*cut) for cut in zip(cuts[::2], cuts[1::2], strict=True)))
    found.sort(key=lambda spans: (spans[0].start, spans[-1].stop))
    mentions = tuple(
        Mention(
            id=str(number),
            spans=spans,
            text=bare.text_of(spans),
            type=draw(st.sampled_from(["chemical", "disease", "species"])),
            concept_ids=draw(IDS),
        )
        for number, spans in enumerate(found)
    )
    return Document("12345", passages, mentions, draw(RELATIONS))


@st.composite
def odd_documents(draw: st.DrawFn) -> Document:
    """Documents with any characters anywhere, also those that a format cannot hold."""
    odd = st.text(
        st.one_of(
            st.sampled_from("ab |;,+\r\n\t\x00\x85\u2028\ufffe\ufeff<&>'\"😀"),
            st.characters(),
        ),
        max_size=6,
    )
    document = draw(documents())
    passages = tuple(
        Passage(draw(odd), passage.offset, passage.text if draw(st.booleans()) else "")
        for passage in document.passages
    )
    text = Document("", passages).text
    mentions = tuple(
        Mention(mention.id + draw(odd), mention.spans, mention.text, draw(odd).lower(), mention.concept_ids)
        for mention in document.mentions
        if mention.text == Document("", passages).text_of(mention.spans) and mention.stop <= len(text)
    )
    relations = draw(st.lists(st.tuples(odd, odd, odd), max_size=2).map(tuple))
    return Document(draw(odd), passages, mentions, relations)
