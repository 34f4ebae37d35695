"""What may be loaded together."""

from __future__ import annotations

import pytest

from trivet.core.errors import ArtifactError
from trivet.models.backbone import Fresh, Pretrained
from trivet.models.loading import load_both

SHAPE = {"model_type": "bert", "vocab_size": 30522, "hidden_size": 16, "intermediate_size": 16}
SHAPE |= {"num_hidden_layers": 1, "num_attention_heads": 2}


def test_a_tokenizer_with_more_tokens_than_the_encoder_has_rows_is_refused(tmp_path):
    encoder, inner = Fresh(SHAPE).load()
    encoder.save_pretrained(tmp_path)
    inner.save_pretrained(tmp_path)
    assert len(load_both(tmp_path)[1]) == 30522
    inner.add_tokens(["[another]"])
    inner.save_pretrained(tmp_path)
    for load in (lambda: load_both(tmp_path), Pretrained(path=str(tmp_path)).load):
        with pytest.raises(ArtifactError, match="tokenizer has 30523 tokens, its encoder 30522"):
            load()
