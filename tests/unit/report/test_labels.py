from trivet.report.labels import distinct


def row(label, task="scifact", seed=None, **retriever):
    base = {"kind": "dense", "model": "m", "model_key": "k", "trained_on": [], "in_domain": []}
    return {"label": label, "bench": "b", "task": task, "seed": seed,
            "retriever": base | retriever}  # fmt: skip


def labels(*rows):
    return [found["label"] for found in distinct(rows)]


def test_settings_that_differ_stand_behind_the_label_they_share():
    rows = [row("M", dim=384, store="float32"), row("M", dim=100, store="binary"), row("N")]
    assert labels(*rows) == ["M (dim=384, store=float32)", "M (dim=100, store=binary)", "N"]


def test_seeds_models_and_what_was_found_are_no_settings():
    rows = [row("M", seed=1, model_key="a"), row("M", seed=2, model_key="b"),
            row("M", truncated_query_share=0.5)]  # fmt: skip
    assert labels(*rows) == ["M", "M", "M"]


def test_lengths_of_another_task_are_no_difference_but_the_label_is_one_across_tasks():
    rows = [row("M", dim=1), row("M", dim=2), row("M", task="other", dim=1)]
    assert labels(*rows) == ["M (dim=1)", "M (dim=2)", "M (dim=1)"]
    assert labels(row("M", dim=1), row("M", task="other", dim=2)) == ["M", "M"]


def test_a_row_from_before_a_setting_was_told_keeps_its_label():
    assert labels(row("M"), row("M", store="binary")) == ["M", "M"]


def test_another_kind_of_one_model_is_another_label_and_parts_are_looked_into():
    rows = [row("M"), row("M", kind="splade")]
    assert labels(*rows) == ["M (kind=dense)", "M (kind=splade)"]
    rows = [row("H", parts={"bm25": {"k1": 0.9}}), row("H", parts={"bm25": {"k1": 1.2}})]
    assert labels(*rows) == ["H (parts.bm25.k1=0.9)", "H (parts.bm25.k1=1.2)"]
    rows = [row("H", seed=seed, parts={"dense": {"train_seed": seed}}) for seed in (1, 2)]
    assert labels(*rows) == ["H", "H"]


def test_levels_of_a_sweep_are_told_apart_before_their_settings():
    rows = [
        row("M", dim=dim) | {"id": str(dim), "sweep": {"id": "s-1", "level": {"head@x.y": head}}}
        for head, dim in (("linear", 48), ("ffn", 64))
    ]
    assert labels(*rows) == ["M (head=linear)", "M (head=ffn)"]
