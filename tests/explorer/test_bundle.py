"""One file of several scripts: every import is answered from inside, data end no script, the policy holds."""

import json
import re

import pytest

from vael.explorer import bundle


def test_a_script_stands_after_what_it_imports():
    names = bundle.scripts(bundle.ENTRY)
    assert names[-1] == bundle.ENTRY
    assert {"explorer.js", "kernel.js", "local.js", "map.js", "looks.js", "questions.js"} <= set(names)
    assert "served.js" not in names
    for place, name in enumerate(names):
        imported = [one for _, one in bundle.IMPORT.findall((bundle.PAGE / name).read_text())]
        assert set(imported) <= set(names[:place])


def test_no_import_or_export_is_left():
    joined = bundle.joined(bundle.ENTRY)
    assert not re.search(r"^\s*(import|export)\b", joined, re.MULTILINE)
    assert "</script" not in joined
    assert "fetch(" not in joined


def test_every_import_is_exported_where_it_is_looked_for():
    for path in bundle.PAGE.glob("*.js"):
        for names, script in bundle.IMPORT.findall(path.read_text()):
            exported = {name for _, name in bundle.EXPORT.findall((bundle.PAGE / script).read_text())}
            assert {one.strip() for one in names.split(",")} <= exported, path.name


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!-- <script>", "a & b \u2028"])
def test_data_cannot_leave_their_place(text):
    page = bundle.whole_page({"run": text}, "Alone.").decode()
    kept = re.search(r'<script type="application/json" id="kept">(.*?)</script>', page, re.DOTALL)
    assert json.loads(kept[1]) == {"run": text}
    assert page.count("<script") == 2 + kept[1].count("<script")


def test_the_policy_names_what_stands_in_the_page_and_nothing_else():
    page = bundle.whole_page({}, "Alone.").decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "connect" not in policy
    assert "unsafe" not in policy
    for tag, source in (("style", "style-src"), ("script", "script-src")):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(inside) == 1
        assert f"{source} '{bundle.digest(inside[0])}'" in policy
    assert "stylesheet" not in page
    assert "src=" not in page.replace("img-src", "").replace("-src", "")
    assert "Alone." in page
