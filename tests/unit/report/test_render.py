import csv as csv_module
import io
import re

import pytest

from trivet.report.render import RENDERERS, Table, best_cells, csv, latex, markdown

ONE = Table(
    "zoo",
    ["ndcg@10", "p"],
    [["a|b *", "0.5000", "0.1"], ["c_d & 100%", "-0.2500", ""]],
    ["* trained on it"],
    frozenset({(0, 1)}),
)
OTHER = Table("zoo, published elsewhere", ["ndcg@10", "source"], [["e", "0.679", "a paper"]])


def test_markdown_has_the_title_over_the_names_and_the_notes_below():
    lines = markdown([ONE, OTHER]).splitlines()
    assert re.match(r"\| zoo +\| ndcg@10 \|   p \|", lines[0])
    assert lines[4:7] == ["", "* trained on it", ""]  # a line after a table would be a row of it
    assert len(re.split(r"(?<!\\)\|", lines[2])) == 5  # the label's own bar parts no cells


def test_latex_prints_every_sign_and_the_best_in_bold():
    text = latex([ONE])
    assert r"a\textbar{}b * & \textbf{0.5000} & 0.1 \\" in text
    assert r"c\_d \& 100\% & $-$0.2500 &  \\" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(rule) == 1
    assert text.count(r"\textbf") == 1
    assert r"\caption{zoo}" in text and r"\begin{tabular}{lrr}" in text


@pytest.mark.parametrize("sign", list("&%$#_{}~^\\<>|†["))
def test_no_sign_of_a_label_is_a_command_of_latex(sign):
    text = latex([Table("t", ["m"], [[f"x{sign}y", "1"]])])
    assert f"x{sign}y" not in text
    assert re.search(r"^x\S+y & 1 \\\\$", text, re.M)


def test_a_row_that_begins_with_a_bracket_is_no_length_for_the_row_before():
    text = latex([Table("t", ["m"], [["a", "1"], ["[b]", "[-0.1, -0.2]"]])])
    assert r"{[}b] & {[}$-$0.1, $-$0.2] \\" in text


def test_csv_is_one_table_that_holds_every_cell():
    found = list(csv_module.DictReader(io.StringIO(csv([ONE, OTHER]))))
    assert [row["table"] for row in found] == ["zoo", "zoo", "zoo, published elsewhere"]
    assert found[0]["row"] == "a|b *" and found[0]["notes"] == "* trained on it"
    assert found[1]["notes"] == ""  # it is not marked
    assert found[1]["ndcg@10"] == "-0.2500"
    assert (found[2]["p"], found[2]["source"]) == ("", "a paper")


@pytest.mark.parametrize("name", RENDERERS)
def test_every_way_to_write_tables_keeps_their_cells(name):
    text = RENDERERS[name]([ONE, OTHER])
    for cell in ("0.5000", "0.2500", "0.679", "a paper", "published elsewhere", "trained on it"):
        assert cell in text


def test_the_best_of_a_column_is_its_highest_as_printed_and_none_takes_no_part():
    assert best_cells({1: [0.1, 0.30001, 0.3], 2: [None, 0.2, None]}) == {(1, 1), (2, 1), (1, 2)}
    assert best_cells({1: [None]}) == frozenset()
