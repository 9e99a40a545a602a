"""One encoder, a decoder for each domain: what is learned, kept, resumed, saved, blended and refused."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.artifact.swapping import SwapModel, as_numbers
from isthmus.corruptions import Move, Warp
from isthmus.data import read, read_provenance
from isthmus.errors import ArtifactError, ConfigError, DataError
from isthmus.estimators import Swapper
from isthmus.nn import materialise
from isthmus.nn.shared_coder import SharedCoder
from isthmus.tasks.pictures.swap import Settings, checked, domains_of, fit
from isthmus.tasks.pictures.swap_files import Order, Reading, cut, ellipse, parse_box, preview, read_domain, swap_folder, swap_picture
from isthmus.training import Callback
from isthmus.training.crops import Lesson
from isthmus.training.picture_loss import PictureLoss
from isthmus.training.swapping import Critic, Lessons, SwapLoss, SwapTrainer

FEW = Settings(steps=12, channels=(4, 8), hidden=16, code=6, evaluations=4, device="cpu", precision="fp32")


def spots(count: int, seed: int) -> np.ndarray:
    """A soft bright spot at a random place: the place is the content."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[:16, :16]
    places = rng.uniform(4, 12, (count, 2))
    apart = (down - places[:, :1, None]) ** 2 + (across - places[:, 1:, None]) ** 2
    return np.rint(255 * np.exp(-apart / 6)).astype(np.uint8)


def paler(pictures: np.ndarray) -> np.ndarray:
    """The same with half the contrast, on grey."""
    return 100 + pictures // 2


def domains(count: int = 60) -> dict[str, np.ndarray]:
    """Bright spots on black, and pale ones on grey, at other places."""
    return {"bright": spots(count, 0), "pale": paler(spots(count, 1))}


@pytest.fixture(scope="module")
def fitted() -> SwapModel:
    settings = Settings(
        steps=400, channels=(8, 16), hidden=64, code=8, warp=0.01, shift=0, turn=0, zoom=0, device="cpu", learning_rate=3e-3
    )
    return fit(domains(400), settings)


def test_content_goes_over_and_the_look_is_that_of_the_target(fitted) -> None:
    fresh = spots(50, 7)
    found = fitted.swap(fresh, "pale")
    assert found.shape == fresh.shape
    assert found.dtype == np.uint8
    error = np.abs(found.astype(float) - paler(fresh)).mean()
    shuffled = np.abs(found.astype(float) - paler(np.roll(fresh, 1, 0))).mean()
    assert error < 0.4 * shuffled


def test_more_than_two_domains_are_told_apart_and_swapped(fitted) -> None:
    assert set(fitted.guess(spots(20, 8))) == {"bright"}
    assert set(fitted.guess(paler(spots(20, 8)))) == {"pale"}
    three = fit(domains_of(np.concatenate([spots(9, 1), paler(spots(9, 2)), spots(9, 3) // 2]), np.repeat(["x", "y", "z"], 9)), FEW)
    assert three.domains == ("x", "y", "z")
    assert three.swap(spots(3, 5), "z").shape == (3, 16, 16)


def test_codes_of_both_domains_have_the_same_mean_and_spread(fitted) -> None:
    for name, x in domains(400).items():
        codes = fitted.encode(x, name)
        np.testing.assert_allclose(codes.mean(0), 0, atol=0.1)
        np.testing.assert_allclose(codes.std(0), 1, atol=0.1)


def test_each_domain_has_as_many_pictures_in_a_batch() -> None:
    lessons = Lessons([torch.zeros(1, 16, 16, 1), torch.ones(500, 16, 16, 1)], 32, [Move()], Warp())
    lesson = lessons(torch.Generator().manual_seed(0))
    assert lesson.target.mean((1, 2, 3)).tolist() == [0.0] * 16 + [1.0] * 16
    assert lesson.seen.shape == lesson.target.shape


def test_the_target_is_not_bent() -> None:
    x = torch.rand(4, 16, 16, 1, generator=torch.Generator().manual_seed(0))
    lesson = Lessons([x, x], 16, [], Warp(0.1))(torch.Generator().manual_seed(0))
    assert all(any(torch.equal(picture, known) for known in x) for picture in lesson.target)
    assert float((lesson.seen - lesson.target).abs().max()) > 0.01


def _trainer(**options) -> SwapTrainer:
    with torch.device("meta"):
        trainer = SwapTrainer(SharedCoder((16, 16, 1), 2, (4, 8), 16, 6), Critic(1, 2, 4), ramp=1, **options)
    return materialise(trainer, 0)


def test_the_critic_and_the_coder_learn_apart() -> None:
    trainer = _trainer()
    x = torch.rand(16, 16, 16, 1, generator=torch.Generator().manual_seed(0))
    swapped = trainer(x)[16:].float()
    SwapLoss(trainer, PictureLoss("l1"), 0.0, 0.0).adversarial(swapped, x, 1.0).backward()
    assert all(p.grad is None or float(p.grad.abs().max()) == 0 for p in trainer.coder.parameters())
    assert float(trainer.critic.convs[0].weight.grad.abs().max()) > 0
    taught = trainer.critic.convs[0].weight.grad.clone()
    trainer.zero_grad()
    SwapLoss(trainer, PictureLoss("l1"), 0.0, 5.0).adversarial(swapped.detach().requires_grad_(), x, 1.0).backward()
    torch.testing.assert_close(trainer.critic.convs[0].weight.grad, taught)


def test_the_way_back_is_part_of_the_loss() -> None:
    trainer = _trainer(back=True)
    x = torch.rand(16, 16, 16, 1, generator=torch.Generator().manual_seed(0))
    found = trainer(x).detach()
    assert found.shape[0] == 48
    without, with_it = (SwapLoss(trainer, PictureLoss("l1"), back, 0.0) for back in (0.0, 2.0))
    trainer.critic = None
    extra = float(with_it(found, Lesson(x, x)) - without(found, Lesson(x, x)))
    assert extra == pytest.approx(2 * float((found[32:] - x).abs().mean()), rel=1e-4)


class Killed(Callback):
    """Dies at an evaluation, as a process that is killed."""

    def __init__(self, at: int, how: BaseException | None) -> None:
        self.at, self.how, self.seen = at, how, 0

    def evaluated(self, row, best) -> None:
        self.seen += 1
        if self.seen == self.at and self.how is None:
            signal.raise_signal(signal.SIGINT)
        elif self.seen == self.at and self.how is not None:
            raise self.how


def weights(model: SwapModel) -> list[torch.Tensor]:
    return list(model.network.state_dict().values())


@pytest.mark.parametrize("critic", [0.0, 0.1])
def test_a_killed_run_goes_on_to_the_same_end(tmp_path, critic) -> None:
    settings = Settings(**{**vars(FEW), "critic": critic, "back": critic})
    whole = fit(domains(), settings)
    file = tmp_path / "run.st"
    with pytest.raises(OSError, match="killed"):
        fit(domains(), settings, checkpoint=file, callbacks=[Killed(3, OSError("killed"))])
    again = fit(domains(), settings, checkpoint=file, resume=True)
    for one, other in zip(weights(whole), weights(again)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert [row["train"] for row in again.history] == [row["train"] for row in whole.history]


def test_ctrl_c_keeps_the_best_and_can_go_on(tmp_path) -> None:
    file = tmp_path / "run.st"
    model = fit(domains(), FEW, checkpoint=file, callbacks=[Killed(2, None)])
    assert model.facts["stopped"] == "interrupted"
    assert model.history[-1]["step"] < 12
    assert model.swap(spots(2, 0), "pale").shape == (2, 16, 16)
    again = fit(domains(), FEW, checkpoint=file, resume=True)
    for one, other in zip(weights(fit(domains(), FEW)), weights(again)):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_checkpoint_of_other_pictures_or_settings_is_refused(tmp_path) -> None:
    file = tmp_path / "run.st"
    fit(domains(), FEW, checkpoint=file)
    with pytest.raises(ArtifactError, match="another run"):
        fit({"bright": spots(60, 3), "pale": paler(spots(60, 1))}, FEW, checkpoint=file, resume=True)
    with pytest.raises(ArtifactError, match="another run"):
        fit(domains(), Settings(**{**vars(FEW), "warp": 0.1}), checkpoint=file, resume=True)


def test_a_saved_model_gives_the_same_pictures(tmp_path, fitted) -> None:
    place = fitted.save(tmp_path / "model")
    again = SwapModel.load(place)
    np.testing.assert_array_equal(again.swap(spots(4, 2), "pale"), fitted.swap(spots(4, 2), "pale"))
    assert again.domains == ("bright", "pale")
    text = (place / "config.json").read_text()
    (place / "config.json").write_text(text.replace('"pale"', '"bright"'))
    with pytest.raises(ArtifactError, match="names for 2 domains"):
        SwapModel.load(place)


def test_types_of_pictures_are_kept(fitted) -> None:
    x = spots(3, 4)
    floats = fitted.swap(x / 255, "pale")
    assert floats.dtype == np.float64
    np.testing.assert_allclose(floats * 255, fitted.swap(x, "pale"), atol=0.51)
    deep = fitted.swap(x.astype(np.uint16) * 257, "pale")
    assert deep.dtype == np.uint16
    np.testing.assert_allclose(deep / 257, fitted.swap(x, "pale"), atol=0.51)
    assert fitted.swap(list(x[..., None]), "pale").shape == (3, 16, 16, 1)


REFUSED = [
    ({"a": spots(3, 0)}, "at least two"),
    ({"a": spots(3, 0), "b": spots(1, 0)}, "'b' has 1 picture"),
    ({"a": spots(3, 0), "b": spots(3, 0)[:, :12]}, "12 x 16 x 1.*16 x 16 x 1"),
    ({"a": spots(3, 0), "b": np.repeat(spots(3, 0)[..., None], 3, 3)}, "grey or all to RGB"),
    ({"a": spots(3, 0), "b": spots(3, 0) / 1.0}, "divide by"),
    ({"a": spots(3, 0), "b": spots(3, 0) / 200.0}, "divide by the largest"),
    ({"a": spots(3, 0), "b": np.full((3, 16, 16), np.nan)}, "NaN"),
    ({"a": spots(3, 0)[:, :1, :1], "b": spots(3, 0)[:, :1, :1]}, "8 to 1024 pixels"),
    ({"a": np.zeros((3, 16, 16, 4), np.uint8), "b": np.zeros((3, 16, 16, 4), np.uint8)}, "4 channel"),
    ({"a": [np.zeros((16, 16)), np.zeros((16, 12))], "b": np.zeros((3, 16, 16))}, "different sizes"),
    ({"a": spots(3, 0).astype(np.int64), "b": spots(3, 0)}, "int64"),
]


@pytest.mark.parametrize("given, told", REFUSED, ids=[told for _, told in REFUSED])
def test_domains_that_cannot_be_used_are_refused(given, told) -> None:
    with pytest.raises(DataError, match=told):
        checked(domains_of(given))


def test_labels_must_fit_the_pictures() -> None:
    with pytest.raises(DataError, match="need one label each"):
        domains_of(spots(3, 0))
    with pytest.raises(DataError, match="need one label each"):
        domains_of(spots(3, 0), ["a", "b"])
    with pytest.raises(DataError, match="1 domain"):
        domains_of(spots(3, 0), ["a", "a", "a"])
    with pytest.raises(DataError, match="have their names"):
        domains_of(domains(3), ["a"])
    with pytest.raises(DataError, match="a name of its own"):
        domains_of({1: spots(3, 0), "1": spots(3, 1)})


def test_pictures_unlike_those_fitted_on_are_refused(fitted) -> None:
    with pytest.raises(ConfigError, match=r"no domain 'blue'.*bright, pale"):
        fitted.swap(spots(2, 0), "blue")
    with pytest.raises(DataError, match=r"16 x 12 x 1.*16 x 16 x 1"):
        fitted.swap(spots(2, 0)[:, :, :12], "pale")
    with pytest.raises(DataError, match="grey into colour"):
        fitted.swap(np.zeros((2, 16, 16, 3), np.uint8), "pale")
    with pytest.raises(DataError, match="divide by"):
        as_numbers(np.full((1, 8, 8), 2.0))


@pytest.mark.parametrize(
    "settings", [{"code": 0}, {"channels": (4,) * 9}, {"held_out": 1.0}, {"warp": -1.0}, {"steps": 0}, {"device": "tape"}]
)
def test_wrong_settings_are_refused(settings) -> None:
    with pytest.raises(ConfigError):
        fit(domains(9), Settings(**{**vars(FEW), **settings}))


def test_odd_sizes_and_colours_pass() -> None:
    rng = np.random.default_rng(0)
    model = fit({name: rng.random((9, 19, 13, 3)) for name in "ab"}, FEW)
    assert model.swap(rng.random((2, 19, 13, 3)), "b").shape == (2, 19, 13, 3)


def test_pictures_too_small_for_ssim_are_learned_without_it() -> None:
    model = fit({name: spots(9, 0)[:, :9, :9] for name in "ab"}, Settings(steps=2, device="cpu"))
    assert model.settings["ssim"] == 0


def test_the_estimator_does_all_of_it(tmp_path) -> None:
    found = Swapper(steps=3, channels=(4,), hidden=8, code=4, device="cpu", random_state=3)
    x = np.concatenate([spots(9, 0), paler(spots(9, 1))])
    found.fit(x, np.repeat([0, 1], 9))
    assert found.domains_ == ("0", "1")
    assert found.swap(x[:2], to="1").shape == (2, 16, 16)
    assert found.reconstruct(x[:2], "0").shape == (2, 16, 16)
    assert found.encode(x[:2], "0").shape == (2, 4)
    assert set(found.predict(x)) <= {"0", "1"}
    again = Swapper.load(found.save(tmp_path / "model"), device="cpu")
    np.testing.assert_array_equal(again.swap(x, to="1"), found.swap(x, to="1"))
    assert Swapper(**found.get_params()).code == 4


def frame(seed: int = 0) -> np.ndarray:
    """A frame with a spot in a box of 24 x 20 at (10, 6)."""
    pixels = np.random.default_rng(seed).integers(0, 80, (50, 40, 1), dtype=np.uint8)
    pixels[10:34, 6:26] = np.asarray(Image.fromarray(spots(1, seed)[0]).resize((20, 24)))[..., None]
    return pixels


BOX = (10, 6, 24, 20)


def test_what_lies_outside_of_the_mask_stays(fitted) -> None:
    picture, order = frame(), Order("pale", box=BOX)
    found = swap_picture(fitted, picture, order, ellipse(24, 20, 0.3))
    outside = np.ones((50, 40), bool)
    outside[10:34, 6:26] = False
    np.testing.assert_array_equal(found[outside], picture[outside])
    np.testing.assert_array_equal(found[10, 6], picture[10, 6])  # a corner of the box
    whole = swap_picture(fitted, picture, order, np.ones((24, 20, 1), np.float32))
    assert whole[10:34, 6:26].mean() > 90 > picture[10:34, 6:26].mean()
    np.testing.assert_array_equal(found[21:23, 15:17], whole[21:23, 15:17])  # its middle


def test_frames_go_into_a_folder_and_say_so(tmp_path, fitted) -> None:
    (tmp_path / "frames" / "scene").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(frame(i)[..., 0]).save(tmp_path / "frames" / "scene" / f"f{i}.bmp")
    (tmp_path / "frames" / "notes.txt").write_text("no picture")
    written = list(swap_folder(fitted, tmp_path / "frames", tmp_path / "out", Order("pale", box=BOX)))
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [f"scene/f{i}.png" for i in range(3)]
    assert read_provenance(written[0]).source_type == "compositeWithTrainedAlgorithmicMedia"
    assert read_provenance(written[0]).operation == "swap"
    assert read(written[0]).array.shape == (1, 50, 40, 1)
    plain = list(swap_folder(fitted, tmp_path / "frames", tmp_path / "whole", Order("pale", mask="whole")))
    assert read_provenance(plain[0]).source_type == "trainedAlgorithmicMedia"
    silent = list(swap_folder(fitted, tmp_path / "frames", tmp_path / "silent", Order("pale", marked=False)))
    assert read_provenance(silent[0]) is None


def test_masks_of_a_folder_are_heeded(tmp_path, fitted) -> None:
    for name in ("frames", "masks"):
        (tmp_path / name).mkdir()
    Image.fromarray(frame()[..., 0]).save(tmp_path / "frames" / "a.png")
    mask = np.zeros((50, 40), np.uint8)
    mask[15:20, 10:15] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    order = Order("pale", box=BOX, mask=tmp_path / "masks")
    [path] = swap_folder(fitted, tmp_path / "frames", tmp_path / "out", order)
    changed = read(path).array[0] != frame()
    assert changed[mask > 0].mean() > 0.9
    assert not changed[mask == 0].any()
    Image.fromarray(mask[:40]).save(tmp_path / "masks" / "a.png")
    with pytest.raises(DataError, match=r"mask of a.png has 40 x 40"):
        list(swap_folder(fitted, tmp_path / "frames", tmp_path / "out", order))
    (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / "b.png")
    with pytest.raises(DataError, match=r"no mask for a.png"):
        list(swap_folder(fitted, tmp_path / "frames", tmp_path / "out", order))


def test_frames_of_other_channels_are_refused_by_name(tmp_path, fitted) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "frames" / "red.png"
    file.parent.mkdir()
    Image.fromarray(rng.integers(0, 255, (20, 20, 3), np.uint8)).save(file)
    with pytest.raises(DataError, match=r"coloured.*red\.png.*--colour rgb"):
        list(swap_folder(fitted, file.parent, tmp_path / "out", Order("pale")))
    Image.fromarray(np.repeat(frame(), 3, 2)).save(file)  # grey, though saved as colour
    assert len(list(swap_folder(fitted, file.parent, tmp_path / "out", Order("pale")))) == 1
    colour = fit({name: rng.random((9, 16, 16, 3)) for name in "ab"}, FEW)
    Image.fromarray(frame()[..., 0]).save(file)
    with pytest.raises(DataError, match=r"grey.*red\.png"):
        list(swap_folder(colour, file, tmp_path / "x.png", Order("b")))


def test_transparency_stays(tmp_path, fitted) -> None:
    pixels = np.concatenate([np.repeat(frame(), 3, 2), np.full((50, 40, 1), 120, np.uint8)], 2)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    [path] = swap_folder(fitted, tmp_path / "a.png", tmp_path / "out.png", Order("pale"))
    assert (read(path, colour="rgba").array[..., 3] == 120).all()


def test_domains_are_read_from_folders_and_arrays(tmp_path) -> None:
    for i in range(3):
        Image.fromarray(frame(i)[..., 0]).save(tmp_path / f"f{i}.png")
    assert read_domain(tmp_path)[0].shape == (3, 64, 64, 1)
    boxed, _ = read_domain(tmp_path, Reading((24, 20), BOX))
    np.testing.assert_array_equal(boxed[1], frame(1)[10:34, 6:26])
    np.savez(tmp_path / "a.npz", x=spots(4, 0))
    np.testing.assert_array_equal(read_domain(tmp_path / "a.npz")[0][..., 0], spots(4, 0))
    assert read_domain(tmp_path / "a.npz", Reading((32, 32)))[0].shape == (4, 32, 32, 1)
    np.save(tmp_path / "rows.npy", np.zeros((5, 4)))
    with pytest.raises(DataError, match="no pictures"):
        read_domain(tmp_path / "rows.npy")
    with pytest.raises(DataError, match="reaches to 70 x 30"):
        read_domain(tmp_path, Reading((24, 20), (10, 10, 60, 20)))


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "-1,0,5,5", "0,0,0,5"])
def test_wrong_boxes_are_refused(text) -> None:
    with pytest.raises(ConfigError, match="box"):
        parse_box(text)


def test_a_box_beyond_the_picture_is_refused() -> None:
    assert cut(frame(), None, "a").shape == (50, 40, 1)
    with pytest.raises(DataError, match="a has 50 x 40"):
        cut(frame(), (0, 30, 20, 20), "a")


def test_a_preview_shows_each_domain_as_the_others(tmp_path, fitted) -> None:
    sheet = preview(fitted, {name: x[..., None] for name, x in domains(5).items()}, tmp_path / "sheet.png")
    assert read_provenance(sheet).source_type == "compositeWithTrainedAlgorithmicMedia"
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (8 * 17 + 1, 3 * 17 + 1)  # four of each; picture, rebuilt, swapped
    np.testing.assert_array_equal(pixels[1:17, 1:17], domains(5)["bright"][0])
