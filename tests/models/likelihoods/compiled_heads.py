"""Every head traced as one graph, forward and backward, against eager; run by test_heads.py in a process of its own."""

import torch
from test_heads import HEADS, generator, raw_for

from vael.probability import draw


def main() -> None:
    torch.set_num_threads(1)
    for head in HEADS.values():
        torch._dynamo.reset()
        x = draw(head(raw_for(head)), 1, generator())[0, 0].detach()

        def total(raw, head=head, x=x):
            return head(raw).log_prob(x).sum()

        raw, other = (raw_for(head).requires_grad_() for _ in range(2))
        expected, found = total(raw), torch.compile(total, backend="eager", fullgraph=True, dynamic=False)(other)
        expected.backward()
        found.backward()
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(other.grad, raw.grad)
        print("equal")


if __name__ == "__main__":
    main()
