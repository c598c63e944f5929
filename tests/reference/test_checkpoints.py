"""Whole checkpoints as people have them, through `vqct import`: files of PyTorch, indexes, folders,
prefixes, averages; and files that are out to harm."""
import collections
import json
import os
import pickle
import sys
import unittest
import zipfile

import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import native  # noqa: E402
import test_import as imports  # noqa: E402
import torch_families as families  # noqa: E402
import torch_vqct as vqct  # noqa: E402
from safetensors_file import read_safetensors  # noqa: E402

BASE, NEAREST, run = imports.BASE, imports.NEAREST, imports.run


class Unknown:
    """An object that no reader of tensors knows; it refers back to itself."""

    def __init__(self):
        self.me, self.numbers = self, {1, 2, frozenset([3.5, 1 << 80])}


class Tensors(dict):
    """A dictionary of a class of its own."""


class Checkpoints(imports.Checkpoint):
    def setUp(self):
        super().setUp()
        self.module = imports.taming(BASE, 21)
        self.codebook = self.scaled(self.module, BASE)
        self.tensors = {name: tensor.clone() for name, tensor in self.module.state_dict().items()}

    def saved(self, value, **options):
        path = self.path("file.ckpt")
        torch.save(value, path, **options)
        return path

    def same(self):
        self.compare(BASE, self.module, self.codebook)

    def test_torch_file(self):
        """A Lightning checkpoint: other objects, and tensors in every shape that they come in."""
        tensors = collections.OrderedDict(self.tensors)
        base = torch.zeros(3, *reversed(tensors["decoder.conv_in.weight"].shape))
        base[1] = tensors["decoder.conv_in.weight"].permute(3, 2, 1, 0)
        tensors["decoder.conv_in.weight"] = base[1].permute(3, 2, 1, 0)  # strided, with an offset
        shared = torch.cat([tensors["quant_conv.bias"], tensors["post_quant_conv.bias"]])
        tensors["quant_conv.bias"] = shared[:8]
        tensors["post_quant_conv.bias"] = torch.nn.Parameter(shared[8:])
        tensors["encoder.conv_in.bias"] = tensors["encoder.conv_in.bias"].double()
        for name, kind in (("encoder.conv_out.weight", torch.half),
                           ("decoder.conv_out.weight", torch.bfloat16)):
            tensors[name] = tensors[name].to(kind)
            self.module.get_parameter(name).copy_(tensors[name].float())
        out = self.import_file(self.saved(
            {"epoch": 3, "state_dict": tensors, "callbacks": {Unknown: Unknown()}, "none": None,
             "optimizer_states": [{"state": {0: {"step": torch.tensor(1)}}}],
             "hyper_parameters": {"lr": 1e-4, "big": 1 << 90, "ok": True, 7: (1, -2, 3, 4)},
             "other": {"weight": torch.zeros(2)}}), *NEAREST)
        self.assertIn("found under state_dict.; 1 of other parts were left", out)
        self.same()

    def test_what_was_saved(self):
        """Dictionaries with defaults are read, numbers that other parts need are passed over, and
        what holds no dictionary of tensors is named."""
        self.import_file(self.saved({"state_dict": collections.defaultdict(int, self.tensors),
                                     "angles": torch.ones(2, dtype=torch.complex64)}), *NEAREST)
        self.same()
        for value, message in ((Unknown(), f"what was saved is not a dictionary but {__name__} Unknown"),
                               ([self.tensors], "not a dictionary but something else")):
            self.assertIn(message, run("import", self.saved(value), "-o", self.model)[2])
        with open(self.path("file.ckpt"), "wb") as file:
            file.write(b"version https://git-lfs.github.com/spec/v1\n")
        self.assertIn("neither a safetensors file nor one that torch.save made",
                      run("import", self.path("file.ckpt"), "-o", self.model)[2])

    def test_distance_of_a_configuration(self):
        """What is asked for and what a configuration says must agree, and neither is lost."""
        with open(self.path("config"), "w") as file:
            json.dump(BASE, file)
        options = ("--config", self.path("config"))
        tensors = imports.state(self.module)
        self.import_ok(tensors, *options, "--distance", "dot")
        self.assertEqual(self.architecture().get("distance"), "dot")
        with open(self.path("config"), "w") as file:
            json.dump({**BASE, "distance": "dot"}, file)
        self.import_ok(tensors, *options)
        self.assertEqual(self.architecture().get("distance"), "dot")
        self.assertIn("the configuration's is dot",
                      self.refused_again(tensors, 2, *options, *NEAREST))

    def test_index_and_folder(self):
        names = sorted(self.tensors)
        folder = self.path("folder")
        os.mkdir(folder)
        shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
        for shard, part in shards.items():
            native.write_safetensors(os.path.join(folder, shard),
                                     {name: self.tensors[name].numpy() for name in part})
        index = os.path.join(folder, "model.safetensors.index.json")
        weights = {name: shard for shard, part in shards.items() for name in part}
        for path in (index, folder):
            with open(index, "w") as file:
                json.dump({"metadata": {"total_size": 1}, "weight_map": weights}, file)
            self.import_file(path, *NEAREST)
            self.same()
        cases = [({**weights, "gone": "a.safetensors"}, "1 of its tensors are in no shard"),
                 ({**weights, names[0]: "b.safetensors"}, "is in a.safetensors, not in b"),
                 ({**weights, "x": "../x"}, '"../x" is no file beside it'),
                 ({**weights, "x": "c.safetensors"}, "c.safetensors: No such file"), (3, "no object")]
        for wrong, message in cases:
            with open(index, "w") as file:
                json.dump({"weight_map": wrong}, file)
            self.assertIn(message, run("import", folder, "-o", self.model, *NEAREST)[2])
        os.unlink(index)
        self.assertIn("the folder has no", run("import", folder, "-o", self.model)[2])
        torch.save(self.tensors, os.path.join(folder, "pytorch_model.bin"))
        self.import_file(folder, *NEAREST)
        self.same()

    def test_source_configurations(self):
        """What a family's own configuration tells is not asked for."""
        taming = "model:\n  target: taming.models.vqgan.VQModel\n  params: {embed_dim: 8}\n"
        ibq = "model:\n  class_path: src.IBQ.models.ibqgan.IBQ\n  init_args:\n    a: [1, {b: &x 2}, *x]\n"
        near = ibq.replace(".IBQ\n", ".VQModel\n")  # a class of nearest codes in the same place
        for text, distance in ((taming, None), (near, None), (ibq, "dot"),
                               (json.dumps({"architectures": ["IBQModel"]}), "dot")):
            with open(self.path("c.yaml"), "w") as file:
                file.write(text)
            self.import_ok(imports.state(self.module), "--source-config", self.path("c.yaml"))
            self.assertEqual(self.architecture().get("distance"), distance)
        self.assertIn("whose codes are chosen by the dot product", self.refused_again(
            imports.state(self.module), 2, "--source-config", self.path("c.yaml"), *NEAREST))
        for text, message in (("a: [", "c.yaml:2: "), ("[" * 100, "nested deeper than 64"),
                              ("a: b: c", "c.yaml:1: mapping values"), ("x" * (2 << 20), "larger")):
            with open(self.path("c.yaml"), "w") as file:
                file.write(text)
            self.assertIn(message, self.refused_again(imports.state(self.module), 5,
                                                      "--source-config", self.path("c.yaml")))
        folder = self.path("folder")
        os.mkdir(folder)
        groups = {**BASE, "groups": 8}
        other = families.randomize(families.diffusers(groups), 1)
        for part in other.modules():
            if isinstance(part, torch.nn.GroupNorm):
                part.num_groups = 8
        codebook = self.scaled(other, groups)
        native.write_safetensors(os.path.join(folder, "diffusion_pytorch_model.safetensors"),
                                 imports.state(other))
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump({"_class_name": "VQModel", "norm_num_groups": 8}, file)
        self.import_file(folder)
        self.assertEqual(self.architecture()["groups"], 8)
        self.compare(groups, other, codebook)

    def test_prefixes(self):
        tensors = {f"model.{name}": array for name, array in imports.state(self.module).items()}
        other = {name.replace("model.", "old.", 1): array for name, array in tensors.items()}
        extra = {"text.weight": np.zeros(2, np.float32)}
        out = self.import_ok({**tensors, **extra}, *NEAREST)
        self.assertIn("found under model.; 1 of other parts were left", out)
        self.same()
        err = self.refused_again({**tensors, **other}, 5)
        self.assertIn('2 tokenizers in it; give --prefix, one of "model.", "old."', err)
        for prefix in ("model.", "model"):
            self.import_ok({**tensors, **other}, "--prefix", prefix, *NEAREST)
        self.assertIn("is missing under the prefix", self.refused_again(tensors, 2, "--prefix", "x"))
        surprise = {"model.teacher.weight": np.zeros(2, np.float32)}
        self.assertIn("unexpected: model.teacher.weight, of shape [2]; taken",
                      self.refused_again({**tensors, **surprise}, 5, *NEAREST))
        self.assertIn("1 were ignored", self.import_ok({**tensors, **surprise}, *NEAREST,
                                                       "--ignore", "*.teacher.*"))
        diffusion = {name.replace("model.", "first_stage_model.", 1): array
                     for name, array in tensors.items()}
        diffusion["model.diffusion_model.out.2.weight"] = np.zeros(2, np.float32)
        self.import_ok(diffusion)  # latent diffusion has taming's tokenizer
        self.same()

    def refused_again(self, tensors, code, *options):
        if os.path.exists(self.model):
            os.unlink(self.model)
        return self.refused(code, tensors, *options)

    def test_averages(self):
        other = imports.taming(BASE, 22)
        other.quantize.embedding.weight.copy_(self.codebook)
        raw = imports.state(other)
        flat = {"model_ema." + name.replace(".", ""): tensor
                for name, tensor in imports.state(self.module).items()}
        tensors = {**raw, **flat, "model_ema.decay": np.float32([.9]),
                   "model_ema.num_updates": np.int64([3])}
        self.import_ok(tensors, *NEAREST)
        self.compare(BASE, other, self.codebook)
        self.import_ok(tensors, "--ema", *NEAREST)
        self.same()
        del tensors["model_ema.decoderconv_inbias"]
        self.assertIn("missing: the average of decoder.conv_in.bias",
                      self.refused_again(tensors, 5, "--ema", *NEAREST))
        counted = {**raw, "model_ema.decay": tensors["model_ema.decay"],
                   "model_ema.num_updates": tensors["model_ema.num_updates"]}
        for none in (raw, counted):
            self.assertIn("it has no averages", self.refused_again(none, 5, "--ema", *NEAREST))
        path = self.saved({"model": other.state_dict(), "ema": self.module.state_dict(), "steps": 1})
        self.import_file(path, *NEAREST)
        self.compare(BASE, other, self.codebook)
        self.import_file(path, "--ema", *NEAREST)
        self.same()

    def test_averaged_codebook(self):
        """Taming's codebook with moving averages is one of nearest codes."""
        self.import_ok({**imports.state(self.module),
                        "quantize.embedding.cluster_size": np.ones(40, np.float32),
                        "quantize.embedding.embed_avg": np.zeros((40, 8), np.float32)})
        self.same()

    # ---- files out to harm -----------------------------------------------------------------------

    def refuse_pickle(self, message, stream, storages=(), compression=zipfile.ZIP_STORED, name="f"):
        path = self.path("evil.ckpt")
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr(name + ("" if "/" in name else "/data.pkl"), stream)
            for key, data in storages:
                file.writestr(f"{name}/data/{key}", data)
        code, out, err = run("import", path, "-o", self.model)
        self.assertEqual((code, out), (5, ""), err)
        self.assertIn(message, err)
        self.assertLess(len(err), 1000)

    def test_hostile_pickles(self):
        cases = [
            ("values stand in one another too deep", b"\x80\x02]" + b"\x85" * 10000 + b"."),
            ("a value contains itself", b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s."),
            ("a value contains itself", b"\x80\x02]q\x00h\x00a."),
            ("at most 64 are read", b"\x80\x02" + b"]0" * (50 << 20) + b"."),
            ("its values need more than 512 MiB", b"\x80\x02" + b"]" * (60 << 20) + b"."),
            ("the stream ends too early", b"\x80\x02X\xff\xff\xff\x7fabc"),
            ("a memo is not there", b"\x80\x02h\x05."),
            ("a memo's number is out of order", b"\x80\x02]r\xff\xff\xff\x7f."),
            ("there is no mark", b"\x80\x02]t."),
            ("an opcode that is not known", b"\x80\x02\x82\x01."),
            ("does not end with one value", b"\x80\x02]]."),
            ("what was saved is not a dictionary", b"\x80\x02]."),
            ("it holds no tensors", b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00exittR0}."),
        ]
        for message, stream in cases:
            with self.subTest(message):
                self.refuse_pickle(message, stream)

    def storage(self, count, shape, stride, offset=0, kind="FloatStorage"):
        """A dictionary of one tensor, as torch.save writes it."""
        def integers(numbers):
            return b"(" + b"".join(b"\x8a\x08" + np.int64(n).tobytes() for n in numbers) + b"t"

        def text(string):
            return b"X" + np.uint32(len(string)).tobytes() + string.encode()
        return (b"\x80\x02}" + text("encoder.conv_in.weight") +
                b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") +
                b"ctorch\n" + kind.encode() + b"\n" + text("0") + text("cpu") +
                b"\x8a\x08" + np.int64(count).tobytes() + b"tQ" +
                b"\x8a\x08" + np.int64(offset).tobytes() + integers(shape) + integers(stride) +
                b"\x89}tRs.")

    def test_hostile_views(self):
        outside = 'tensor "encoder.conv_in.weight" lies outside its storage'
        cases = [
            (outside, 4, [5], [1], 0), (outside, 4, [2, 2], [3, 1], 1), (outside, 4, [4], [1], 1),
            (outside, 4, [1 << 60], [1 << 60], 0), (outside, 4, [8], [0], 4),
            ("its shape is too large", 4, [1 << 62, 1 << 62], [0, 0], 0),
            ("something that is not a size", 4, [2], [-1], 0),
            ("something that is not a size", 4, [-2], [1], 0),
            ("at most 8 dimensions", 4, [1] * 9, [1] * 9, 0),
        ]
        for message, count, shape, stride, offset in cases:
            with self.subTest(shape=shape, stride=stride):
                self.refuse_pickle(message, self.storage(count, shape, stride, offset))
        self.refuse_pickle("its storage is a torch EvilStorage",
                           self.storage(4, [4], [1], kind="EvilStorage"))

    def test_expanded(self):
        """Strides of 0 repeat a storage's numbers, so that few bytes may say very many: the shapes
        of a whole network are refused before there is any memory for them."""
        for name, tensor in self.tensors.items():
            if ".norm" in name and name.startswith("decoder."):
                self.module.get_parameter(name).fill_(tensor[0])
                self.tensors[name] = tensor[:1].expand(tensor.shape)
        row = self.tensors["encoder.conv_in.weight"][:1, :, :1]
        self.module.get_parameter("encoder.conv_in.weight").copy_(row)
        self.tensors["encoder.conv_in.weight"] = row.expand(32, 3, 3, 3)
        self.codebook = self.scaled(self.module, BASE)
        self.tensors["quantize.embedding.weight"] = self.codebook
        self.import_file(self.saved(self.tensors), *NEAREST)
        self.same()
        os.unlink(self.model)
        wide = {name: torch.ones(1).expand([size if size <= 3 else 32 * size for size in tensor.shape])
                for name, tensor in self.tensors.items()}
        path = self.saved(wide)
        code, out, err = run("import", path, "-o", self.model, *NEAREST)
        self.assertEqual((code, out, os.path.exists(self.model)), (5, "", False))
        self.assertRegex(err, r"its shapes say \d{9,} numbers, more than 100 times what the file")

    def test_unread(self):
        """Tensors in forms that are not read, and whole modules, are named with what to do."""
        sparse = {**self.tensors, "quantize.embedding.weight": self.codebook.to_sparse()}
        self.assertIn('"state_dict.quantize.embedding.weight" is made by torch._utils '
                      "_rebuild_sparse_tensor, which is not read: save it as a dense tensor",
                      run("import", self.saved({"state_dict": sparse}), "-o", self.model, *NEAREST)[2])
        array = {**self.tensors, "encoder.conv_in.weight": np.zeros((32, 3, 3, 3), np.float32)}
        self.assertRegex(run("import", self.saved(array), "-o", self.model, *NEAREST)[2],
                         r'"encoder.conv_in.weight" is made by numpy\S* _reconstruct, which is not')
        self.assertIn(f'it holds no tensors that are read: "state_dict" is a {__name__} Tensors; save',
                      run("import", self.saved({"epoch": 1, "state_dict": Tensors(self.tensors)}),
                          "-o", self.model)[2])
        for protocol in (1, 2):  # in protocol 1 objects are made by a function
            path = self.saved({"model": self.module, "epoch": 1}, pickle_protocol=protocol)
            self.assertIn('"model" is a whole torch_vqct Network: save its state_dict() instead',
                          run("import", path, "-o", self.model)[2])
            path = self.saved(self.module, pickle_protocol=protocol)
            self.assertIn("not a dictionary but torch_vqct Network: save",
                          run("import", path, "-o", self.model)[2])
        path = self.saved({"teacher": self.module, "state_dict": self.tensors}, pickle_protocol=1)
        self.assertIn("1 of other parts were left", self.import_file(path, *NEAREST))
        self.same()

    def test_hostile_archives(self):
        """PyTorch does not compress, so nothing that unfolds is read."""
        stream = self.storage(4, [4], [1])
        self.refuse_pickle('member "f/data.pkl" is compressed', stream,
                           compression=zipfile.ZIP_DEFLATED)
        self.refuse_pickle("it has no member data.pkl", stream, name="f/x")
        path = self.saved({"state_dict": self.tensors})
        with open(path, "rb") as file:
            whole = file.read()
        for kept, message in ((len(whole) // 2, "not a whole file"), (100, "not a whole file")):
            with open(path, "wb") as file:
                file.write(whole[:kept])
            self.assertIn(message, run("import", path, "-o", self.model)[2])
        place = whole.index(self.tensors["encoder.conv_in.weight"].numpy().tobytes())
        with open(path, "wb") as file:
            file.write(whole[:place] + b"\xff" + whole[place + 1:])
        self.assertIn("is damaged", run("import", path, "-o", self.model, *NEAREST)[2])
        path = self.path("short.ckpt")
        with zipfile.ZipFile(self.path("file.ckpt"), "w") as _:
            pass
        torch.save({"encoder": torch.zeros(2)}, path)
        self.assertIn("of no known family", run("import", path, "-o", self.model)[2])

    def test_legacy_file(self):
        path = self.saved(self.tensors, _use_new_zipfile_serialization=False)
        code, _, err = run("import", path, "-o", self.model)
        self.assertEqual(code, 5)
        self.assertIn("written by PyTorch before 1.6", err)
        self.assertIn("torch.save(torch.load(FILE", err)


def with_spatial_norms(network, channels, seed):
    """Puts spatial norms in the place of the decoder's norms."""
    torch.manual_seed(seed)
    given = vqct.put_spatial_norms(network.decoder, channels)
    decode = network.decode

    def decode_with_codes(codes):
        given[0] = codes
        return decode(codes)
    network.decode = decode_with_codes
    return network.eval().requires_grad_(False)


class Families(imports.Checkpoint):
    """Quantizers and namings beside taming's."""

    def dot(self, config, codebook, z):
        scores = torch.einsum("bchw,nc->bhwn", z.double(), codebook.double())
        best, order = torch.sort(scores, dim=3, descending=True, stable=True)
        return order[..., 0][:, None], None, (best[..., 0] - best[..., 1])[:, None]

    def test_ibq(self):
        for seed, config in enumerate((BASE, imports.WIDE, imports.HALF)):
            with self.subTest(seed):
                module = imports.taming(config, seed)
                codebook = self.scaled(module, config)
                self.assertIn(": IBQ, ",
                              self.import_ok(imports.state(module), "--distance", "dot"))
                self.assertEqual(self.architecture(), {**config, "distance": "dot"})
                self.compare(config, module, codebook, self.dot)

    def test_gumbel(self):
        for seed, config in enumerate((BASE, {**BASE, "code_dimension": 5, "nouns": 30})):
            module = imports.taming(config, seed)
            d, codes = config["code_dimension"], config["nouns"]
            centres = self.scaled(module, config).clone()
            module.quantize = torch.nn.Module()
            module.quantize.proj = torch.nn.Conv2d(d, codes, 1)
            module.quantize.embed = torch.nn.Embedding(codes, d)
            module.requires_grad_(False)
            # As if it were trained: the logits are the greatest at the nearest of the centres.
            module.quantize.proj.weight.copy_(centres[:, :, None, None])
            module.quantize.proj.bias.copy_(-.5 * (centres ** 2).sum(1))

            def logits(_, table, z, module=module):
                best, order = torch.sort(torch.nn.functional.conv2d(
                    z.double(), module.quantize.proj.weight.double(),
                    module.quantize.proj.bias.double()), dim=1, descending=True)
                return order[:, :1], None, (best[:, 0] - best[:, 1])[:, None]
            with self.subTest(seed):
                self.assertIn("Gumbel VQGAN", self.import_ok(imports.state(module)))
                self.assertEqual(self.architecture()["code_dimension"], 2 * d + 1)
                self.compare(config, module, None, logits, module.quantize.embed.weight)
        tensors = imports.state(module)
        del tensors["quantize.proj.bias"]
        os.unlink(self.model)
        self.assertIn("missing: quantize.proj.bias, of shape [30]", self.refused(5, tensors))

    def test_movq(self):
        narrow = {**BASE, "code_dimension": 4, "middle_attention": False}
        for seed, config in enumerate((BASE, imports.WIDE, narrow)):
            for family in ("MoVQ", "diffusers VQModel"):
                with self.subTest(family, seed=seed):
                    module = imports.taming(config, seed) if family == "MoVQ" else \
                        families.randomize(families.diffusers(config), seed)
                    with_spatial_norms(module, config["code_dimension"], seed)
                    codebook = self.scaled(module, config)
                    tensors = {
                        name.replace("group_norm.", "spatial_norm.") if "decoder" in name else name:
                        array for name, array in imports.state(module).items()}
                    self.assertIn(family, self.import_ok(tensors))
                    self.assertEqual(self.architecture(), {**config, "spatial_norm": True})
                    self.compare(config, module, codebook)

    def test_movq_averages(self):
        """MoVQ keeps averages of each part, whose names lose the dots after that."""
        nets = []
        for seed in range(2):
            nets.append(with_spatial_norms(imports.taming(BASE, seed), BASE["code_dimension"], seed))
        codebooks = [self.scaled(net, BASE) for net in nets]
        tensors = imports.state(nets[0])
        for name, array in imports.state(nets[1]).items():
            part, _, rest = name.partition(".")
            tensors[f"ema_{part}.{rest.replace('.', '')}"] = array
        for part in {name.partition(".")[0] for name in imports.state(nets[0])}:
            tensors[f"ema_{part}.decay"] = np.float32([.9])
        self.import_ok(tensors)
        self.compare(BASE, nets[0], codebooks[0])
        self.import_ok(tensors, "--ema")
        self.compare(BASE, nets[1], codebooks[1])
        del tensors["ema_decoder.conv_inbias"]
        os.unlink(self.model)
        self.assertIn("missing: the average of decoder.conv_in.bias",
                      self.refused(5, tensors, "--ema"))

    def test_open_magvit2(self):
        tensors = imports.state(imports.taming(BASE, 0))
        tensors["decoder.adaptive.0.gamma.weight"] = np.zeros((32, 8), np.float32)
        self.assertIn("Open-MAGVIT2, which is not supported: its decoder scales by statistics",
                      self.refused(5, tensors))

    def test_showo(self):
        """MAGVIT-v2 of Show-o: every level has its own number of blocks, the decoder its own widths,
        and a token's bits are the signs of z, the first the most significant; 0 counts as minus."""
        config = {**BASE, "multipliers": [1, 2, 2], "attention": [False] * 3, "z_channels": 6,
                  "code_dimension": 6, "nouns": 64}
        blocks, wide = {"encoder": [2, 1, 3], "decoder": [1, 3, 2]}, [1, 1, 3]
        for seed in range(2):
            module = imports.taming(config, seed)
            for side, levels in (("encoder", module.encoder.down), ("decoder", module.decoder.up)):
                widths = {**config, "multipliers": wide} if side == "decoder" else config
                into, order = 32, range(3)
                if side == "decoder":
                    into, order = 96, range(2, -1, -1)
                    module.decoder.conv_in = torch.nn.Conv2d(6, 96, 3, padding=1)
                    module.decoder.mid = vqct.Middle(config, 96)
                for level in order:
                    sampler = {"encoder": "downsample" if level < 2 else None,
                               "decoder": "upsample" if level else None}[side]
                    out = 32 * widths["multipliers"][level]
                    levels[level] = vqct.Level(widths, level, blocks[side][level], into, out,
                                               sampler, out)
                    into = out
            families.randomize(module, seed)
            with torch.no_grad():  # z on both sides of 0
                z = module.encode(torch.rand(1, 3, 32, 32) * 2 - 1)
                module.quant_conv.bias -= z.mean((0, 2, 3))
            codebook = ((torch.arange(64)[:, None] >> torch.arange(5, -1, -1)) & 1) * 2. - 1
            tensors = {{"quant_conv": "encoder.quant_conv", "post_quant_conv":
                        "decoder.post_quant_conv"}.get(name.split(".")[0], name.split(".")[0]) +
                       name[len(name.split(".")[0]):]: array
                       for name, array in imports.state(module).items() if "quantize" not in name}
            tensors["quantize.embedding"] = codebook.numpy()
            tensors["quantize.power_vals"] = 2 ** np.arange(5, -1, -1)

            def bits(_, table, z):
                tokens = ((z > 0) * 2 ** torch.arange(5, -1, -1)[:, None, None]).sum(1)
                return tokens[:, None], None, z.abs().amin(1)[:, None]
            self.assertIn("Show-o's MAGVIT-v2", self.import_ok(tensors))
            self.assertEqual(self.architecture(), {
                **config, "encoder_blocks": 2, "decoder_blocks": 1, "distance": "dot",
                "encoder_level_blocks": [2, 1, 3], "decoder_level_blocks": [1, 3, 2],
                "decoder_multipliers": wide})
            self.compare(config, module, codebook, bits)

    def hugging_face(self, config, seed):
        """The decoder's levels counted from the lowest resolution, as JanusVQVAE does."""
        module = imports.taming(config, seed)
        codebook = self.scaled(module, config)
        last = len(config["multipliers"]) - 1
        tensors = {}
        for name, array in imports.state(module).items():
            parts = name.split(".")
            if name.startswith("decoder.up."):
                parts[2] = str(last - int(parts[2]))
            tensors["model.vqmodel." + ".".join(parts)] = array
        tensors["model.language_model.weight"] = np.zeros(3, np.float32)
        return module, codebook, tensors

    def test_janus(self):
        for seed, config in enumerate((imports.LLAMAGEN, {**imports.LLAMAGEN, "nouns": 17})):
            with self.subTest(seed):
                module, codebook, tensors = self.hugging_face(config, seed)
                out = self.import_ok(tensors)
                self.assertIn("JanusVQVAE", out)
                self.assertIn("found under model.vqmodel.; 1 of other parts were left", out)
                self.assertEqual(self.architecture(), config)
                self.compare(config, module, codebook)

    def test_chameleon(self):
        """An encoder alone encodes, and says that it cannot decode."""
        module, codebook, tensors = self.hugging_face(BASE, 3)
        tensors = {name: array for name, array in tensors.items()
                   if ".decoder." not in name and "post_quant" not in name}
        self.assertIn("ChameleonVQVAE", self.import_ok(tensors))
        self.assertEqual(self.architecture(), {**BASE, "decoder_blocks": 0})
        encoder = type("Encoder", (), {"encode": staticmethod(module.encode)})
        self.compare(BASE, encoder, codebook)
        np.save(self.path("t.npy"), np.zeros((1, 1, 8, 8), np.uint16))
        code, _, err = run("decode", self.model, self.path("t.npy"), "-o", self.path("out"))
        self.assertEqual(code, 2)
        self.assertIn("the model has no decoder: it only encodes", err)


class Released(imports.Checkpoint):
    """The released VQCT: its state dict and the pickle of its words."""

    ADJECTIVES = {"orange": 11, "rare": 10, "red": 500, "écru": 12, "light": 40}
    NOUNS = {"cat": 99, "orange": 30, "l’犬": 11, "seldom": 1, "light": 12}
    PAIRS = [("orange", "cat"), ("orange", "cat"), ("red", "cat"), ("écru", "l’犬"), ("cat", "red"),
             ("red", "orange"), ("orange", "orange"), ("rare", "cat"), ("écru", "seldom"),
             ("light", "l’犬"), ("light", "light"), ("écru", "écru")]
    D = 6

    def words(self, vector):
        draw = np.random.default_rng(4)
        numbers = [{word: draw.standard_normal(self.D).astype(np.float32) for word in counts}
                   for counts in (self.ADJECTIVES, self.NOUNS)]
        return {"adj_code_book": list(self.ADJECTIVES), "adj_code_book_num": self.ADJECTIVES,
                "noun_code_book_num": self.NOUNS, "adj_noun_edges": self.PAIRS,
                "adj_code_book_vec": {word: vector(x) for word, x in numbers[0].items()},
                "noun_code_book_vec": {word: vector(x) for word, x in numbers[1].items()}}, numbers

    def graph(self, numbers):
        """Rows and edges as the paper's code has them: one index for both lists, where a later word
        replaces an earlier one."""
        kept = [[word for word, count in counts.items() if count > 10]
                for counts in (self.ADJECTIVES, self.NOUNS)]
        book = kept[0] + kept[1]
        index = {word: row for row, word in enumerate(book)}
        x = np.stack([numbers[0][word] for word in kept[0]] + [numbers[1][word] for word in kept[1]])
        edges = [(index[a], index[b], 1) for a, b in self.PAIRS
                 if a in index and b in index and a != b]  # its own loop is there already
        return book, len(kept[0]), torch.from_numpy(x), edges

    def write_words(self, kind, protocol=pickle.HIGHEST_PROTOCOL):
        kinds = {"tensor": torch.from_numpy, "half": lambda x: torch.from_numpy(x).half(),
                 "view": lambda x: torch.from_numpy(np.stack([0 * x, x]))[1], "array": np.copy,
                 "row": lambda x: torch.from_numpy(x[None]), "array's row": lambda x: x[None],
                 "list": lambda x: [float(number) for number in x]}
        words, numbers = self.words(kinds.get(kind, kinds["list"]))
        path = self.path("words")
        if kind.startswith("json"):
            with open(path, "w", encoding="utf-8-sig" if "mark" in kind else "utf-8") as file:
                json.dump(words, file)
        else:
            with open(path, "wb") as file:
                pickle.dump(words, file, protocol)
        return path, self.graph([{word: x.astype(np.float16).astype(np.float32)
                                  for word, x in part.items()} if kind == "half" else part
                                 for part in numbers])

    def test_words(self):
        kinds = ("tensor", "half", "view", "row", "array", "array's row", "list")
        cases = [("json", 0), ("json after a mark", 0), *((kind, protocol) for kind in kinds
                                for protocol in range(pickle.HIGHEST_PROTOCOL + 1))]
        for kind, protocol in cases:
            with self.subTest(kind, protocol=protocol):
                path, (book, adjectives, x, edges) = self.write_words(kind, protocol)
                code, out, err = run("prior", "convert", path, "-o", self.path("prior"))
                self.assertEqual((code, err), (0, ""))
                tensors, _ = read_safetensors(self.path("prior"))
                self.assertEqual(bytes(tensors["words.text"]).decode().split("\0")[:-1], book)
                self.assertEqual(tensors["words.part"].tolist(),
                                 [0] * adjectives + [1] * (len(book) - adjectives))
                np.testing.assert_array_equal(tensors["embeddings"], x.numpy())
                counted = collections.Counter(tuple(sorted(edge[:2])) for edge in edges)
                self.assertEqual(tensors["edges"].tolist(),
                                 [[a, b, n] for (a, b), n in sorted(counted.items())])
                self.assertIn("cat orange 2", run("prior", "show", self.path("prior"))[1])

    def test_released(self):
        for k in (1, 2):
            path, (book, adjectives, x, edges) = self.write_words("tensor")
            config = {**imports.VQCT, "adjectives": adjectives, "nouns": len(book) - adjectives,
                      "adjective_k": k}
            module = imports.taming(config, 30 + k)
            gcn = families.GraphConvolutions(self.D, config["code_dimension"]).requires_grad_(False)
            codebook = gcn(x, edges)
            module.quantize = torch.nn.Module()
            module.quantize.gcn = gcn
            unused = {f"quantize.code_book_mapping.{i}.{part}": np.zeros(8, np.float32)
                      for i in (0, 2) for part in ("weight", "bias")}
            self.assertEqual(run("prior", "convert", path, "-o", self.path("prior"))[0], 0)
            for prior in (path, self.path("prior")):
                with self.subTest(k=k, prior=prior):
                    out = self.import_ok(imports.state(module, **unused), "--prior", prior, "-k",
                                         str(k))
                    self.assertIn("VQCT, 4 pixels a token, 8 codes of 8 numbers; 4 tensors", out)
                    ours, _ = read_safetensors(self.model)
                    # Products of numbers of one scale in fp32, two layers of them.
                    self.assertLess(native.relative(ours["codebook.weight"], codebook), 2e-6)
                    self.compare(config, module, codebook)

    def refuse_words(self, message, words):
        with open(self.path("w"), "wb") as file:
            pickle.dump(words, file)
        code, out, err = run("prior", "convert", self.path("w"), "-o", self.path("p"))
        self.assertEqual((code, out, os.path.exists(self.path("p"))), (5, "", False), err)
        self.assertIn(message, err)

    def test_other_files(self):
        for data in (b"", b"[]", b"hello world\n", b"\x1f\x8b\x08\0\0\0\0\0\0\0", b"PK\3\4 and so on"):
            with open(self.path("w"), "wb") as file:
                file.write(data)
            code, _, err = run("prior", "convert", self.path("w"), "-o", self.path("p"))
            self.assertEqual(code, 5)
            self.assertIn("/w: neither a prior, nor a pickle or JSON of words", err)

    def test_wrong_vectors(self):
        """Vectors as no JSON has them; one that all words share takes no room in the file."""
        words, _ = self.words(lambda x: x.astype(">f4"))
        self.refuse_words("its vector's numbers are not little-endian", words)
        words, _ = self.words(lambda x: torch.from_numpy(x).expand(2, -1))
        self.refuse_words("not a tensor of one dimension or one row", words)
        words, _ = self.words(lambda x: torch.ones(1).expand(1 << 21))
        self.refuse_words("a vector of more than 1048576 numbers", words)
        shared = torch.ones(1).expand(1 << 16)
        counts = {f"w{i}": 11 for i in range(1 << 10)}
        self.refuse_words("1032 words of 65536 numbers are more than 100 times what the file holds",
                          {**words, "noun_code_book_num": {**counts, **self.NOUNS},
                           "noun_code_book_vec": dict.fromkeys([*counts, *self.NOUNS], shared),
                           "adj_code_book_vec": dict.fromkeys(self.ADJECTIVES, shared)})

    def test_wrong_words(self):
        words, _ = self.words(lambda x: x.tolist())
        cases = [
            ('no dictionary "adj_code_book_num"', {"adj_code_book_num": None}),
            ('no dictionary "noun_code_book_vec"', {"noun_code_book_vec": []}),
            ('no list "adj_noun_edges"', {"adj_noun_edges": {}}),
            ("item 1 is not a pair of words", {"adj_noun_edges": [("red", "cat"), ("red",)]}),
            ("item 0 is not a pair of words", {"adj_noun_edges": [5]}),
            ("'cat' has no vector", {"noun_code_book_vec": {}}),
            ("'orange' has a vector of 3 numbers, others of 6",
             {"noun_code_book_vec": {"cat": [1] * 6, "orange": [1, 2, 3]}}),
            ("item 2 of its vector is not a number",
             {"adj_code_book_vec": {"orange": [1, 2, "three"]}}),
            ("neither numbers nor a tensor", {"adj_code_book_vec": {"orange": "text"}}),
            ("vectors of 0 numbers", {"adj_code_book_vec": {"orange": []}}),
            ("0 nouns", {"noun_code_book_num": {"cat": 10}}),
            ("not in lower case", {"noun_code_book_num": {"Cat": 11},
                                   "noun_code_book_vec": {"Cat": [1] * 6}}),
        ]
        for message, change in cases:
            for writer in ("json", "pickle"):
                with self.subTest(message, writer=writer), open(self.path("w"), "wb") as file:
                    file.write(json.dumps({**words, **change}).encode() if writer == "json" else
                               pickle.dumps({**words, **change}))
                code, out, err = run("prior", "convert", self.path("w"), "-o", self.path("p"))
                self.assertEqual((code, out, os.path.exists(self.path("p"))), (5, "", False), err)
                self.assertIn(message, err)


if __name__ == "__main__":
    unittest.main()
