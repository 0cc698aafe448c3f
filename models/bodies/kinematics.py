"""What every skeleton needs: turns along a kinematic tree, and linear blend skinning."""

import torch
from torch import Tensor

Levels = list[tuple[list[int], list[int]]]


def tree_levels(parents: list[int]) -> Levels:
    """The nodes of a tree by depth, each level with the places of its parents within the level above.

    Args:
        parents: of each node; negative for the root, which comes first.
    """
    levels: Levels = [([0], [])]
    while above := levels[-1][0]:
        level = [node for node, parent in enumerate(parents) if parent in above]
        levels.append((level, [above.index(parents[node]) for node in level]))
    return levels[:-1]


def chain_turns(local: Tensor, levels: Levels) -> Tensor:
    """Turns accumulated from the root down: each node's is its parent's times its own.

    Args:
        local: `[B, N, 3, 3]`.
        levels: from `tree_levels`.

    Returns:
        `[B, N, 3, 3]`.
    """
    done: list[Tensor] = []
    order: list[int] = []
    for level, places in levels:
        turns = local[:, level]
        done.append(turns if not done else done[-1][:, places] @ turns)
        order += level
    place = sorted(range(len(order)), key=order.__getitem__)
    return torch.cat(done, 1)[:, place]


def ancestry(parents: list[int]) -> Tensor:
    """`[N, N]` float: one where the column is the row's node or an ancestor of it, the root left out."""
    result = torch.zeros(len(parents), len(parents))
    for node, parent in enumerate(parents):
        if parent >= 0:
            result[node] = result[parent]
            result[node, node] = 1
    return result


def skin(motion: Tensor, places: Tensor, heads: Tensor, weights: Tensor, rest: Tensor) -> Tensor:
    """Linear blend skinning.

    Vertices come last: long contiguous rows keep the arithmetic vectorised, and a dense product over the bones is
    faster than gathering a few matrices per vertex.

    Args:
        motion: `[B, J, 3, 3]` turns of the bones from rest.
        places: `[B, J, 3]` where the bones' heads go.
        heads: `[B, J, 3]` where they rest.
        weights: `[J, V]`, columns sum to one.
        rest: `[B, 3, V]` vertices at rest.

    Returns:
        `[B, 3, V]`.
    """
    shift = places - (motion @ heads[..., None]).squeeze(-1)
    rigid = torch.cat((motion, shift[..., None]), -1).flatten(2).mT  # [B, 12, J]
    blend = (rigid @ weights).unflatten(1, (3, 4))
    return (blend[:, :, :3] * rest[:, None]).sum(2) + blend[:, :, 3]
