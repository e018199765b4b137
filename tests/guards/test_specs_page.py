"""specs/README.md and its pictures are those of the specs."""

from tools import specs_page


def test_page_and_pictures_are_fresh():
    found = specs_page.models()
    assert specs_page.PAGE.read_text(encoding="utf-8") == specs_page.page(found), (
        "run `python tools/specs_page.py`"
    )
    drawn = {path.stem for path in (specs_page.FOLDER / specs_page.PICTURES).glob("*.svg")}
    assert drawn == {model.name for model in found}
