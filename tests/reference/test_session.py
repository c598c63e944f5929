"""The public encode and decode calls against PyTorch, and against themselves."""
import hashlib
import json
import os
import sys
import tempfile
import unittest

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import native  # noqa: E402
import native_network  # noqa: E402
import torch_vqct as vqct  # noqa: E402


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.config = {**vqct.TINY, "adjective_k": 2}
        cls.module = vqct.random_network(cls.config, 7)
        cls.pixels = np.random.default_rng(8).integers(0, 256, (7, 24, 32, 3), dtype=np.uint8)
        z = cls.module.encode(torch.from_numpy(cls.pixels).permute(0, 3, 1, 2) / 127.5 - 1)
        cls.codebook = torch.randn(32, 8) * z.std()
        cls.their_tokens, _, cls.gaps = vqct.quantize(cls.config, cls.codebook, z)
        cls.path = os.path.join(cls.folder.name, "model.safetensors")
        native_network.save_model(cls.path, cls.config, cls.module, cls.codebook)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def session(self, threads, path=None):
        session = native_network.Session(path or self.path, threads)
        self.addCleanup(session.close)
        return session

    def test_pixels_to_tokens_and_back(self):
        session = self.session(2)
        tokens = session.encode(self.pixels, 3, 4)
        clear = (self.gaps > 1e-4 * self.gaps.max()).numpy()
        np.testing.assert_array_equal(tokens[clear], self.their_tokens.numpy()[clear])
        zq = vqct.code_values(self.config, self.codebook, torch.from_numpy(tokens.astype(np.int64)))
        theirs = native.nhwc(self.module.decode(zq)).astype(np.float64)
        grey = np.clip((theirs + 1) * 127.5, 0, 255)
        ours = session.decode(tokens, 3, 4)
        # Rounded to the nearest of 256 levels; the rest is the arithmetic error.
        self.assertLess(np.abs(ours - grey).max(), 0.5 + 1e-3)

    def test_vectors(self):
        """What is quantised is the encoder's output, and what tokens stand for the decoder's input;
        the same bits for every team and batch."""
        session = self.session(2)
        tokens, vectors = session.encode_vectors(self.pixels, 3, 4)
        np.testing.assert_array_equal(tokens, session.encode(self.pixels, 3, 4))
        z = self.module.encode(torch.from_numpy(self.pixels).permute(0, 3, 1, 2) / 127.5 - 1)
        theirs = native.nhwc(z)
        # The errors of some twenty layers in single precision.
        self.assertLess(np.abs(vectors - theirs).max(), 1e-5 * np.abs(theirs).max())
        zq = native.nhwc(vqct.code_values(self.config, self.codebook,
                                          torch.from_numpy(tokens.astype(np.int64))))
        for ours, theirs in zip(tokens, zq):
            np.testing.assert_allclose(session.code_vectors(ours), theirs, rtol=1e-6, atol=1e-7)
        for i in range(7):
            again = self.session(1).encode_vectors(self.pixels[i:i + 1], 3, 4)[1]
            np.testing.assert_array_equal(again[0], vectors[i])
        tokens[0][2, 0, 0] = 3
        with self.assertRaisesRegex(RuntimeError, "outside its codes"):
            session.code_vectors(tokens[0])

    def test_space_to_depth(self):
        """Through a model file, with a decoder of its own widths."""
        config = {**vqct.TINY, "space_to_depth": True, "upsample_changes_channels": True,
                  "decoder_multipliers": [1, 3, 2]}
        module, path = vqct.random_network(config, 9), os.path.join(self.folder.name, "s.safetensors")
        z = module.encode(torch.from_numpy(self.pixels).permute(0, 3, 1, 2) / 127.5 - 1)
        codebook = torch.randn(32, 8) * z.std()
        native_network.save_model(path, config, module, codebook)
        session = self.session(2, path)
        info = session.info()
        self.assertEqual(info.downsampling, 8)
        self.assertEqual(info.parameters, sum(p.numel() for p in module.parameters()))
        architecture = json.loads(info.architecture)
        self.assertEqual({key: architecture[key] for key in config}, config)
        their_tokens, _, gaps = vqct.quantize(config, codebook, z)
        tokens = session.encode(self.pixels, 2, 8)
        clear = (gaps > 1e-4 * gaps.max()).numpy()
        np.testing.assert_array_equal(tokens[clear], their_tokens.numpy()[clear])
        zq = vqct.code_values(config, codebook, torch.from_numpy(tokens.astype(np.int64)))
        grey = np.clip((native.nhwc(module.decode(zq)).astype(np.float64) + 1) * 127.5, 0, 255)
        self.assertLess(np.abs(session.decode(tokens, 3, 8) - grey).max(), 0.5 + 1e-3)
        for height, width in ((20, 32), (24, 28), (23, 32)):  # multiples of 4, and an odd one
            with self.assertRaisesRegex(RuntimeError, "multiples of 8"):
                session.encode(np.zeros((1, height, width, 3), np.uint8), 2, 8)

    def test_same_bits_for_threads_batch_and_order(self):
        alone = self.session(1)
        tokens = np.concatenate([alone.encode(self.pixels[i:i + 1], 3, 4) for i in range(7)])
        pixels = np.concatenate([alone.decode(tokens[i:i + 1], 3, 4) for i in range(7)])
        for threads in (1, 2, 3, 5, 8):
            session = self.session(threads)
            for images in (1, 2, 7):
                for order in (slice(None), slice(None, None, -1)):
                    with self.subTest(threads=threads, images=images):
                        some = np.ascontiguousarray(self.pixels[:images][order])
                        np.testing.assert_array_equal(session.encode(some, 3, 4),
                                                      tokens[:images][order])
                        some = np.ascontiguousarray(tokens[:images][order])
                        np.testing.assert_array_equal(session.decode(some, 3, 4),
                                                      pixels[:images][order])

    def test_what_a_model_says_of_itself(self):
        for config, expected in (
                (self.config, [(b"adjective", 0, 12), (b"adjective-2", 0, 12), (b"noun", 12, 20)]),
                ({**self.config, "adjective_k": 1}, [(b"adjective", 0, 12), (b"noun", 12, 20)]),
                ({**self.config, "quantizer": "plain", "adjectives": 0, "adjective_k": 1,
                  "nouns": 50}, [(b"code", 0, 50)])):
            module = vqct.random_network(config, 1)
            codes = config["adjectives"] + config["nouns"]
            path = os.path.join(self.folder.name, "info.safetensors")
            native_network.save_model(path, config, module, torch.randn(codes, 8))
            info = self.session(1, path).info()
            planes = [(info.plane[i].name, info.plane[i].first, info.plane[i].count)
                      for i in range(info.planes)]
            self.assertEqual(planes, expected)
            self.assertEqual((info.name, info.downsampling, info.channels, info.codes,
                              info.code_dimension), (b"test", 4, 3, codes, 8))
            self.assertEqual(json.loads(info.architecture)["nouns"], config["nouns"])
            with open(path, "rb") as file:
                self.assertEqual(info.checksum.decode(), hashlib.sha256(file.read()).hexdigest())
            self.assertEqual(info.parameters, sum(p.numel() for p in module.parameters()))
            self.assertEqual(info.encode_flops,
                             flops(module, module.encode, (config["image_channels"], 256, 256)))
            halves = 1 if config["quantizer"] == "plain" else 2
            self.assertEqual(info.decode_flops, flops(module, module.decode, (halves * 8, 64, 64)))

    def test_half_precision_weights(self):
        for kind, bits in ((native_network.F16, 11), (native_network.BF16, 8)):
            path = os.path.join(self.folder.name, f"{kind}.safetensors")
            native_network.save_model(path, self.config, self.module, self.codebook, kind=kind)
            session = self.session(2, path)
            rounded = vqct.Network(self.config).eval().requires_grad_(False)
            half = torch.float16 if bits == 11 else torch.bfloat16
            rounded.load_state_dict({name: value.to(half).float() if value.dim() == 4 else value
                                     for name, value in self.module.state_dict().items()})
            zq = vqct.code_values(self.config, self.codebook, self.their_tokens)
            grey = np.clip((native.nhwc(rounded.decode(zq)).astype(np.float64) + 1) * 127.5, 0, 255)
            ours = session.decode(self.their_tokens.numpy().astype(np.uint32), 3, 4)
            self.assertLess(np.abs(ours - grey).max(), 0.5 + 1e-3)

    def test_what_is_refused(self):
        session = self.session(2)
        for height, width in ((0, 8), (8, 0), (6, 8), (8, 31)):
            with self.assertRaisesRegex(RuntimeError, "multiples of 4"):
                session.encode(np.zeros((1, height, width, 3), np.uint8), 3, 4)
        with self.assertRaisesRegex(RuntimeError, "is empty"):
            session.decode(np.zeros((1, 3, 0, 2), np.uint32), 3, 4)
        # Only sizes are read before the refusal, so these arrays may be smaller than they say.
        small = native_network.addresses(np.zeros((1, 4), np.uint8))
        for height, width in ((40000, 4), (8, 40000), (30000, 30000), (2**32 - 4, 2**32 - 4)):
            status = native_network.LIB.vqct_encode(session.session, small, native.ctypes.c_size_t(1),
                                            height, width, small, None)
            self.assertEqual(status, 9, "LIMIT")
        tokens = self.their_tokens.numpy().astype(np.uint32)
        tokens[4, 2, 1, 3] = 11  # an adjective among the nouns
        tokens[6, 0, 0, 0] = 99
        for threads in (1, 2, 4):
            with self.assertRaisesRegex(RuntimeError, "picture 4: token 11 at position 11 of plane 2"):
                self.session(threads).decode(tokens, 3, 4)
        self.assertEqual(session.encode(self.pixels[:0], 3, 4).size, 0)
        with self.assertRaisesRegex(RuntimeError, "1025 threads"):
            native_network.Session(self.path, 1025)

    def test_overflow_is_reported(self):
        module = vqct.random_network(self.config, 7)
        with torch.no_grad():
            module.encoder.conv_out.weight.mul_(1e38)
            module.decoder.conv_out.weight.mul_(1e38)
        path = os.path.join(self.folder.name, "overflow.safetensors")
        native_network.save_model(path, self.config, module, self.codebook)
        session = self.session(2, path)
        with self.assertRaisesRegex(RuntimeError, "encoder's output has NaN or infinity"):
            session.encode(self.pixels[:1], 3, 4)
        with self.assertRaisesRegex(RuntimeError, "decoder's output has NaN or infinity"):
            session.decode(self.their_tokens.numpy().astype(np.uint32)[:1], 3, 4)

    def test_no_memory_is_taken_once_a_shape_has_been_computed(self):
        session = self.session(2)

        def run():
            for pixels in (self.pixels, self.pixels[:5, :16]):
                session.decode(session.encode(pixels, 3, 4), 3, 4)

        run()
        before = memory_in_use()
        for _ in range(5):
            run()
        self.assertLess(abs(memory_in_use() - before), 16 * 1024)  # Python's own objects


def flops(module, run, shape):
    """Two for each multiply-add of the convolutions and of attention's two products."""
    total = 0

    def count(layer, inputs, output):
        nonlocal total
        if isinstance(layer, torch.nn.Conv2d):
            total += 2 * output[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, vqct.Attention):
            channels, height, width = output.shape[1:]
            total += 4 * channels * (height * width) ** 2

    hooks = [layer.register_forward_hook(count) for layer in module.modules()]
    run(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total


class MallocInfo(native.ctypes.Structure):
    _fields_ = [(name, native.ctypes.c_size_t) for name in
                ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
                 "fordblks", "keepcost")]


def memory_in_use():
    """Bytes that malloc has given out."""
    native_network.LIB.mallinfo2.restype = MallocInfo
    info = native_network.LIB.mallinfo2()
    return info.uordblks + info.hblkhd


if __name__ == "__main__":
    unittest.main()
