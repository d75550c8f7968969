"""The graph of services that need each other. Pure: an edge is a pair (service, the one it needs)."""

import collections


def cycle(edges, new):
    """The circle that the edge `new` would close, as a path `[service, what it needs, …, service]`, or None."""
    service, needs = new
    found = _path(_by_start(edges), needs, service)
    return [service, *found] if found else None


def upstream(edges, node):
    """Everything that the node needs, directly or through others, without itself."""
    return _reached(_by_start(edges), node)


def downstream(edges, node):
    """Everything that needs the node, directly or through others, without itself."""
    return _reached(_by_start((needs, service) for service, needs in edges), node)


def around(edges, node, depth):
    """The node, and what it needs and what needs it within so many steps."""
    edges = list(edges)
    found = {node}
    for pairs in (edges, [(needs, service) for service, needs in edges]):
        follow, front = _by_start(pairs), {node}
        for _ in range(depth):
            front = {one for start in front for one in follow.get(start, ())}
            found |= front
    return found


def _by_start(edges):
    found = collections.defaultdict(list)
    for start, end in edges:
        found[start].append(end)
    return found


def _reached(follow, node):
    seen, waiting = {node}, collections.deque([node])
    while waiting:
        for one in follow.get(waiting.popleft(), ()):
            if one not in seen:
                seen.add(one)
                waiting.append(one)
    return seen - {node}


def _path(follow, start, end):
    """The shortest way from start to end, both included, or None."""
    came_from, waiting = {start: None}, collections.deque([start])
    while waiting:
        node = waiting.popleft()
        if node == end:
            path = []
            while node is not None:
                path.append(node)
                node = came_from[node]
            return path[::-1]
        for one in follow.get(node, ()):
            if one not in came_from:
                came_from[one] = node
                waiting.append(one)
    return None
