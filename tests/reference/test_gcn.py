"""Codebook transfer, outputs and gradients, against PyTorch."""
import ctypes
import unittest

import numpy as np
import torch
import torch.nn.functional as F

from native import FLOATS, LIB, Arena, Error, ParameterList, Team, floats as pointer

SIZE = ctypes.c_size_t
GCN, MLP, FIXED, FREE, SIMVQ = range(5)


class Edge(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("adjective", "noun", "weight")]


class Prior(ctypes.Structure):
    _fields_ = [(name, SIZE) for name in
                ("adjectives", "nouns", "words", "dimension", "edge_count")] + [
                    ("word", ctypes.c_void_p), ("count", ctypes.c_void_p), ("embeddings", FLOATS),
                    ("edges", ctypes.POINTER(Edge)), ("provenance", ctypes.c_char_p),
                    ("memory", Arena)]


class Config(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("codes", SIZE), ("code_dimension", SIZE),
                ("standardize", ctypes.c_bool), ("dropout", ctypes.c_float),
                ("seed", ctypes.c_uint64)]


LIB.transfer_parameters.restype = ctypes.POINTER(ParameterList)
LIB.vqct_status_name.restype = ctypes.c_char_p


def pointer(array):
    return array.ctypes.data_as(FLOATS)


class Graph:
    """A random prior: Na + Nn words, edges as (adjective, noun, weight)."""

    def __init__(self, adjectives, nouns, dimension, edges, seed=0):
        self.nodes = adjectives + nouns
        self.edges = edges
        draw = np.random.default_rng(seed)
        self.x = (draw.standard_normal((self.nodes, dimension)) * 0.7 + 0.2).astype(np.float32)
        self.records = (Edge * max(1, len(edges)))(*[Edge(*edge) for edge in edges])
        self.prior = Prior(adjectives=adjectives, nouns=nouns, words=self.nodes,
                           dimension=dimension, edge_count=len(edges), embeddings=pointer(self.x),
                           edges=self.records)

    def normalized(self):
        """S in double, dense, from its definition."""
        a = torch.eye(self.nodes, dtype=torch.float64)
        for i, j, weight in self.edges:
            a[i, j] += weight
            a[j, i] += weight
        scale = a.sum(1) ** -0.5
        return scale[:, None] * a * scale[None, :]


def random_graph(adjectives, nouns, dimension, count, seed):
    """Edges drawn with repeats; the last adjective and the first noun stay alone, and the first
    adjective, which stands for a word of both parts, is joined to its own noun."""
    draw = np.random.default_rng(seed)
    edges = [(int(draw.integers(0, adjectives - 1)), int(adjectives + 1 + draw.integers(0, nouns - 1)),
              int(draw.integers(1, 30))) for _ in range(count)]
    edges += edges[:count // 4] + [(0, adjectives + 1, 5)]
    return Graph(adjectives, nouns, dimension, edges, seed)


class Transfer:
    def __init__(self, graph, kind, d, workers=1, standardize=False, dropout=0.5, seed=7, codes=0):
        self.kind, self.d, self.graph = kind, d, graph
        self.handle, self.team = ctypes.c_void_p(), Team(workers)
        self.exec = self.team.__enter__()
        self.codes = codes or graph.nodes
        self.error = Error()
        config = Config(kind, self.codes, d, standardize, dropout, seed)
        prior = ctypes.byref(graph.prior) if graph else None
        self.status = LIB.transfer_new(ctypes.byref(config), prior, self.exec,
                                       ctypes.byref(self.handle), ctypes.byref(self.error))
        if self.status == 0:
            self.list = LIB.transfer_parameters(self.handle).contents
            self.total = self.list.total

    def __del__(self):
        LIB.transfer_free(self.handle)
        self.team.__exit__()

    def forward(self, parameters, training=False, step=0):
        codes = np.full((self.codes, self.d), np.nan, np.float32)
        assert LIB.transfer_forward(self.handle, pointer(parameters), training,
                                    ctypes.c_uint64(step), pointer(codes),
                                    self.exec) == 0
        return codes

    def backward(self, parameters, dcodes):
        gradients = np.full(self.total, 0.25, np.float32)  # gradients are added to what is there
        assert LIB.transfer_backward(self.handle, pointer(parameters), pointer(dcodes),
                                     pointer(gradients), self.exec) == 0
        return gradients - np.float32(0.25)

    def initial(self, seed=3):
        parameters = np.zeros(self.total, np.float32)
        LIB.parameters_initialize(ctypes.byref(self.list), ctypes.c_uint64(seed),
                                  pointer(parameters))
        return parameters

    def split(self, block):
        """A flat block as {name: array of the parameter's shape}."""
        return {p.name.decode(): block[p.offset:p.offset + p.count].reshape(p.shape[:p.dims])
                for p in self.list}


def dropout_mask(rows, d, seed, step, probability=0.5):
    mask = np.zeros((rows, d), np.float32)
    for row in range(rows):
        LIB.gcn_dropout_row(ctypes.c_uint64(seed), ctypes.c_uint64(step), SIZE(row),
                            ctypes.c_float(probability), SIZE(d), pointer(mask[row]))
    return mask


def torch_codes(transfer, weights, mask=None, x=None):
    """The reference in double: the formulas of the paper on dense matrices."""
    graph = transfer.graph
    x = torch.from_numpy(graph.x.astype(np.float64)) if x is None else x
    if transfer.kind == GCN:
        s = graph.normalized()
        h = F.relu(s @ x @ weights["quantize.gcn.conv1.lin.weight"].T
                   + weights["quantize.gcn.conv1.bias"])
        if mask is not None:
            h = h * mask
        return s @ h @ weights["quantize.gcn.conv2.lin.weight"].T + weights["quantize.gcn.conv2.bias"]
    h = F.leaky_relu(F.linear(x, weights["quantize.mlp.0.weight"], weights["quantize.mlp.0.bias"]),
                     0.1)
    return F.linear(h, weights["quantize.mlp.2.weight"], weights["quantize.mlp.2.bias"])


GRAPHS = [  # adjectives, nouns, D, edges, d
    (2, 2, 3, 0, 4),      # nobody knows anybody
    (3, 4, 5, 6, 8),
    (40, 90, 50, 700, 33),
    (70, 150, 100, 5000, 64),
]


class GraphConvolution(unittest.TestCase):
    def test_outputs_and_gradients(self):
        # Results have size near 1; sums of a few hundred products in fp32.
        for index, (adjectives, nouns, dimension, count, d) in enumerate(GRAPHS):
            graph = random_graph(adjectives, nouns, dimension, count, index)
            for kind, training in ((GCN, False), (GCN, True), (MLP, False)):
                with self.subTest(graph=index, kind=kind, training=training):
                    transfer = Transfer(graph, kind, d)
                    parameters = transfer.initial() + np.random.default_rng(index).uniform(
                        -0.1, 0.1, transfer.total).astype(np.float32)
                    codes = transfer.forward(parameters, training, step=index)
                    weights = {name: torch.tensor(value.astype(np.float64), requires_grad=True)
                               for name, value in transfer.split(parameters).items()}
                    mask = None
                    if training:
                        mask = torch.from_numpy(
                            dropout_mask(graph.nodes, d, 7, index).astype(np.float64))
                    want = torch_codes(transfer, weights, mask)
                    np.testing.assert_allclose(codes, want.detach().numpy(), rtol=0, atol=1e-5)

                    dcodes = np.random.default_rng(9).standard_normal(codes.shape)
                    want.backward(torch.from_numpy(dcodes))
                    got = transfer.split(transfer.backward(parameters, dcodes.astype(np.float32)))
                    for name, weight in weights.items():
                        scale = max(1, weight.grad.abs().max().item())
                        np.testing.assert_allclose(got[name], weight.grad.numpy(), rtol=0,
                                                   atol=1e-4 * scale, err_msg=name)

    def test_any_team_gives_the_same_bits(self):
        graph = random_graph(301, 700, 100, 9000, 5)
        parameters, results = None, []
        for workers in (1, 2, 5):
            transfer = Transfer(graph, GCN, 96, workers)
            parameters = transfer.initial()
            codes = transfer.forward(parameters, True, step=11)
            gradients = transfer.backward(parameters, codes)
            results.append((codes.tobytes(), gradients.tobytes()))
        self.assertEqual(results[0], results[1])
        self.assertEqual(results[0], results[2])

    def test_standardized_inputs(self):
        graph = random_graph(30, 60, 20, 200, 3)
        graph.x[:, 4] = 1.5  # a constant column becomes 0
        x = torch.from_numpy(graph.x.astype(np.float64))
        deviation = x.std(0, unbiased=False)
        deviation[4] = 1
        x = (x - x.mean(0)) / deviation
        for kind in (GCN, MLP):
            transfer = Transfer(graph, kind, 16, standardize=True)
            parameters = transfer.initial()
            weights = {name: torch.from_numpy(value.astype(np.float64))
                       for name, value in transfer.split(parameters).items()}
            np.testing.assert_allclose(transfer.forward(parameters),
                                       torch_codes(transfer, weights, x=x).numpy(), rtol=0,
                                       atol=1e-5)

    def test_dropout(self):
        for probability in (0.0, 0.25, 0.5):
            mask = dropout_mask(400, 128, 1, 2, probability)
            values = set(np.unique(mask).tolist())
            self.assertLessEqual(values, {0.0, float(np.float32(1 / (1 - probability)))})
            # 51,200 draws: the share of zeros is within five deviations
            self.assertAlmostEqual((mask == 0).mean(), probability,
                                   delta=5 * (probability * (1 - probability) / mask.size) ** 0.5)
        base = dropout_mask(50, 64, 1, 2)
        for other in (dropout_mask(50, 64, 1, 3), dropout_mask(50, 64, 2, 2), base[::-1]):
            self.assertAlmostEqual((base == other).mean(), 0.5, delta=0.06)
        # no dropout outside of training, and the step does not matter there
        transfer = Transfer(random_graph(9, 9, 5, 20, 1), GCN, 8)
        parameters = transfer.initial()
        self.assertEqual(transfer.forward(parameters, False, 1).tobytes(),
                         transfer.forward(parameters, False, 2).tobytes())


class Comparisons(unittest.TestCase):
    def test_fixed_projection_keeps_distances(self):
        graph = random_graph(60, 90, 300, 500, 2)
        transfer = Transfer(graph, FIXED, 256)
        self.assertEqual(transfer.total, 0)
        codes = transfer.forward(np.zeros(1, np.float32)).astype(np.float64)
        again = Transfer(graph, FIXED, 256).forward(np.zeros(1, np.float32))
        other = Transfer(graph, FIXED, 256, seed=8).forward(np.zeros(1, np.float32))
        self.assertTrue((codes == again).all() and not (codes == other).any())
        x = graph.x.astype(np.float64)
        projection, residue, _, _ = np.linalg.lstsq(x[:300], codes[:300], rcond=None)
        np.testing.assert_allclose(x @ projection, codes, atol=1e-4)  # linear in the embeddings
        i, j = np.triu_indices(graph.nodes, 1)
        ratio = (((codes[i] - codes[j]) ** 2).sum(1) / 256) / (((x[i] - x[j]) ** 2).sum(1) / 300)
        # chi-squared with 256 degrees of freedom: mean 1, deviation 0.09
        self.assertAlmostEqual(ratio.mean(), 1, delta=0.05)
        self.assertLess(abs(ratio - 1).max(), 0.5)

    def test_free_codebook_is_its_parameter(self):
        transfer = Transfer(None, FREE, 12, codes=50)
        self.assertEqual([(p.name, tuple(p.shape[:p.dims])) for p in transfer.list],
                         [(b"quantize.embedding.weight", (50, 12))])
        parameters = transfer.initial()
        self.assertLessEqual(abs(parameters).max(), 1 / 50)
        self.assertAlmostEqual(parameters.std(), 1 / 50 / 3 ** 0.5, delta=0.002)
        self.assertEqual(transfer.forward(parameters).tobytes(), parameters.tobytes())
        dcodes = np.random.default_rng(0).standard_normal((50, 12)).astype(np.float32)
        np.testing.assert_allclose(transfer.backward(parameters, dcodes), dcodes.ravel(), atol=1e-6)

    def test_simvq_is_a_frozen_codebook_times_a_matrix(self):
        transfer = Transfer(None, SIMVQ, 24, codes=2000)
        unit = np.concatenate([np.eye(24, dtype=np.float32).ravel(), np.zeros(24, np.float32)])
        frozen = torch.from_numpy(transfer.forward(unit).astype(np.float64))
        self.assertAlmostEqual(frozen.std().item(), 24 ** -0.5, delta=0.004)
        parameters = transfer.initial()
        weights = {name: torch.tensor(value.astype(np.float64), requires_grad=True)
                   for name, value in transfer.split(parameters).items()}
        want = F.linear(frozen, weights["quantize.embedding_proj.weight"],
                        weights["quantize.embedding_proj.bias"])
        np.testing.assert_allclose(transfer.forward(parameters), want.detach().numpy(), rtol=0,
                                   atol=1e-5)
        dcodes = np.random.default_rng(0).standard_normal((2000, 24))
        want.backward(torch.from_numpy(dcodes))
        got = transfer.split(transfer.backward(parameters, dcodes.astype(np.float32)))
        for name, weight in weights.items():
            np.testing.assert_allclose(got[name], weight.grad.numpy(), rtol=0, atol=1e-4)

    def test_first_values(self):
        graph = random_graph(40, 90, 50, 100, 0)
        for kind, ranges in ((GCN, {"quantize.gcn.conv1.lin.weight": (6 / 114) ** 0.5,
                                    "quantize.gcn.conv1.bias": 0,
                                    "quantize.gcn.conv2.lin.weight": (6 / 128) ** 0.5,
                                    "quantize.gcn.conv2.bias": 0}),
                             (MLP, {"quantize.mlp.0.weight": 50 ** -0.5,
                                    "quantize.mlp.0.bias": 50 ** -0.5,
                                    "quantize.mlp.2.weight": 64 ** -0.5,
                                    "quantize.mlp.2.bias": 64 ** -0.5})):
            transfer = Transfer(graph, kind, 64)
            values = transfer.split(transfer.initial())
            self.assertEqual(list(values), list(ranges))
            for name, limit in ranges.items():
                self.assertLessEqual(abs(values[name]).max(), limit)
                self.assertGreaterEqual(abs(values[name]).max(), 0.9 * limit)


class Refusals(unittest.TestCase):
    def refuse(self, status, text, graph, kind=GCN, d=4, **options):
        transfer = Transfer(graph, kind, d, **options)
        self.assertEqual(LIB.vqct_status_name(transfer.status), status)
        self.assertIn(text, transfer.error.message)
        self.assertIsNone(transfer.handle.value)

    def test_bad_graphs(self):
        self.refuse(b"MODEL", b"edge 1 of the graph joins 0 and 4 of 4 words",
                    Graph(2, 2, 3, [(0, 2, 1), (0, 4, 1)]))
        self.refuse(b"MODEL", b"edge 0 of the graph joins 4294967295 and 2",
                    Graph(2, 2, 3, [(2**32 - 1, 2, 1)]))
        self.refuse(b"MODEL", b"edge 0 of the graph joins word 1 to itself",
                    Graph(2, 2, 3, [(1, 1, 1)]))
        self.refuse(b"MODEL", b"edge 0 of the graph weighs 0", Graph(2, 2, 3, [(0, 2, 0)]))

    def test_bad_configurations(self):
        graph = Graph(2, 2, 3, [])
        for kind in (GCN, MLP, FIXED):
            self.refuse(b"INVALID", b"needs a prior", None, kind, codes=4)
        self.refuse(b"INVALID", b"is not a kind", graph, 99)
        self.refuse(b"INVALID", b"5 codes, but the prior has 4 words", graph, codes=5)
        self.refuse(b"INVALID", b"code dimension 0", graph, d=0)
        self.refuse(b"INVALID", b"code dimension 4097", graph, d=4097)
        self.refuse(b"INVALID", b"dropout 1", graph, dropout=1.0)
        self.refuse(b"INVALID", b"dropout nan", graph, dropout=float("nan"))
        self.refuse(b"INVALID", b"codes: from 1", None, FREE, codes=2**20 + 1)
        graph.x[3, 1] = np.nan
        self.refuse(b"NOT_FINITE", b"the embedding of word 3", graph)


if __name__ == "__main__":
    unittest.main()
