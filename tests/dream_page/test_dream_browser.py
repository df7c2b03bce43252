"""The page in a real browser: what it computes, what it shows, what hands do to it."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from play import dream, published
from tests.dream_page import made
from verify import browser
from wm.control.dream_page import starts
from wm.control.dream_page.page import Models, read
from wm.control.policy.controller import Controllers, policy_features
from wm.memory.networks.mixture import Mixture

pytestmark = pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())

STEPS, EVERY = 100, 10
"""Of a recorded sequence, and of these the ones whose frames are compared."""
TOLERANCE = 1e-3
WINDOWS = {
    "desktop": (1280, 800),
    "phone": (390, 844),
    "phone on its side": (844, 340),
    "small phone on its side": (640, 330),
}
KERNELS = {"WebAssembly": "", "JavaScript": "#plain"}
"""What computes, and how the page's address ends for it."""
Page = Any

REPLAY = """
({model, start, actions, uniforms, normals, temperature, every}) => {
  const dream = new Dream(models[model]);
  dream.reset(start);
  return actions.map((action, t) => {
    const would = dream.act();
    dream.step(action, temperature, uniforms[t], normals[t]);
    return {
      act: would, z: [...dream.z], h: [...dream.models.memory.h], reward: dream.reward,
      end: dream.end, frame: t % every ? null : [...dream.frame()],
    };
  });
}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A published run and one with the VAE-GAN's own networks."""
    name = published.names()[0]
    return [published.folder(name), made.run(tmp_path_factory.mktemp("run") / "made-0")]


@pytest.fixture(scope="module")
def file(folders: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "dream.html"
    dream.main(["--models", *map(str, folders), "--page", str(path)])
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.chromium() as found:
        yield found


def opened(chromium: Any, file: Path, window: str, kernel: str = "WebAssembly") -> Page:
    """The page without a network; `faults` is what goes wrong in it."""
    width, height = WINDOWS[window]
    size = {"width": width, "height": height}
    context = chromium.new_context(viewport=size, has_touch=window != "desktop", offline=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri() + KERNELS[kernel])
    page.wait_for_function("dreams[0].steps > 3")
    assert page.evaluate("KERNEL.name") == kernel
    (own,) = [url for url in asked if not url.startswith("data:")]
    assert own.startswith(file.as_uri())
    assert not faults
    page.faults = faults
    return page


@pytest.fixture(params=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Any, file: Path) -> Iterator[Page]:
    page = opened(chromium, file, request.param)
    yield page
    assert not page.faults
    page.context.close()


def drawn(mixture: Mixture, uniforms: np.ndarray, normals: np.ndarray, t: float) -> torch.Tensor:
    """wm.memory.networks.mixture.sample with recorded random numbers: z, float32 (1, Z)."""
    weights = torch.softmax(mixture.logpi[0, 0] / t, dim=0)  # (K, Z)
    below = torch.cumsum(weights, 0) <= torch.from_numpy(uniforms).float()
    chosen = below.sum(0, keepdim=True).clamp(max=len(weights) - 1)
    mean, logstd = (of[0, 0].gather(0, chosen) for of in (mixture.mean, mixture.logstd))
    return mean + torch.exp(logstd) * t**0.5 * torch.from_numpy(normals).float()


@torch.inference_mode()
def recorded(models: Models, start: int, noise: dict[str, Any]) -> list[dict[str, Any]]:
    """What PyTorch makes of a start, actions and random numbers, in float32."""
    z, h, c = starts.remembered(models.vision, models.memory, dream.read_starts()[start])
    latent, state = torch.tensor(z)[None], (torch.tensor(h)[None], torch.tensor(c)[None])
    size = policy_features(models.config, latent, state[0]).shape[1]
    vector = torch.from_numpy(models.vector.astype(np.float32))[None]
    controllers = Controllers(vector, size, models.config.hidden_units)
    found = []
    for t, action in enumerate(noise["actions"]):
        act = controllers.act(policy_features(models.config, latent, state[0]))[0]
        taken = torch.tensor(action, dtype=torch.float32)[None, None]
        prediction, state = models.memory.sequence(latent[:, None], taken, state)
        latent = drawn(
            prediction.mixture, noise["uniforms"][t], noise["normals"][t], noise["temperature"]
        )
        frame = models.decoder(latent)[0].permute(1, 2, 0).ravel()
        found.append({
            "act": act, "z": latent[0], "h": state[0][0], "reward": prediction.reward[0, 0],
            "end": torch.sigmoid(prediction.done_logit[0, 0]),
            "frame": None if t % EVERY else frame,
        })  # fmt: skip
    return found


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("model", "start", "temperature"),
    [(0, 0, 1.0), (0, 3, 0.3), (0, 5, 1.7), (1, 1, 1.0), (1, 4, 0.5)],
)
def test_a_recorded_sequence_is_pytorch_s(
    chromium: Any,
    file: Path,
    folders: list[Path],
    model: int,
    start: int,
    temperature: float,
    kernel: str,
) -> None:
    folder = folders[model]
    models = read("", folder / "vision", folder / "memory", folder / "controller", made.CPU)
    rng = np.random.default_rng([model, start])
    latent = models.vision.latent_size
    steer = np.sin(np.arange(STEPS) / 9 + start) * 0.5
    noise = {
        "actions": np.stack([steer, rng.uniform(0, 0.6, STEPS), rng.uniform(0, 0.1, STEPS)], 1),
        "uniforms": rng.uniform(size=(STEPS, latent)),
        "normals": rng.normal(size=(STEPS, latent)),
        "temperature": temperature,
    }
    page = opened(chromium, file, "desktop", kernel)
    given: dict[str, Any] = {"model": model, "start": start, "every": EVERY}
    for key, value in noise.items():
        given[key] = value.tolist() if isinstance(value, np.ndarray) else value
    found = page.evaluate(REPLAY, given)
    page.context.close()
    largest = dict.fromkeys(found[0], 0.0)
    for mine, theirs in zip(found, recorded(models, start, noise), strict=True):
        for key, value in theirs.items():
            if value is not None:
                apart = np.abs(np.asarray(mine[key]) - value.numpy()).max()
                largest[key] = max(largest[key], float(apart))
    print(folder.name, kernel, start, temperature, largest)
    assert max(largest.values()) < TOLERANCE, largest


@pytest.mark.parametrize("window", WINDOWS)
def test_everything_is_in_sight(chromium: Any, file: Path, window: str) -> None:
    """No scrolling to the side; the dreams and the pad without scrolling at all."""
    page = opened(chromium, file, window)
    inside = page.evaluate("[document.documentElement.scrollWidth, innerWidth, innerHeight]")
    assert inside[0] <= inside[1]
    boxes = [place.bounding_box() for place in page.locator("figure canvas, [data-hold]").all()]
    assert len(boxes) == 2 + 4
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= inside[1]
        assert box["y"] + box["height"] <= inside[2]
        assert min(box["width"], box["height"]) >= 40
    for name in ("total", "end"):
        for number in page.locator(f".numbers-of .{name}").all():
            assert number.is_visible(), name
    inner = (
        "(of) => of.scrollWidth <= of.clientWidth && of.offsetWidth <= of.parentNode.offsetWidth"
    )
    for numbers in page.locator(".numbers-of").all():
        assert numbers.evaluate(inner)
    assert page.locator("#gas").is_visible() == (not window.endswith("side"))
    left, right = boxes[:2]
    assert left["y"] == right["y"]
    assert abs(left["width"] - right["width"]) < 0.1
    assert left["width"] >= 140
    page.context.close()


def test_the_pictures_are_the_decoder_s_and_move(page: Page) -> None:
    page.click("#pause")
    before = page.evaluate(
        "dreams.map((dream) => [...dream.frame()].map((x) => Math.round(255 * x)))"
    )
    shown = page.evaluate(
        "views.map((view) => [...view.context.getImageData(0, 0, 64, 64).data]"
        ".filter((_, i) => i % 4 < 3))"
    )
    assert np.abs(np.array(before) - np.array(shown)).max() <= 1
    assert np.ptp(np.array(shown[0])) > 100
    picture = page.locator("figure canvas").first.screenshot()
    assert np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).std() > 10
    steps = page.evaluate("dreams[0].steps")
    page.click("#pause")
    page.wait_for_function("(steps) => dreams[0].steps > steps + 20", arg=steps)
    after = page.evaluate("[...dreams[0].frame()].map((x) => Math.round(255 * x))")
    assert np.abs(np.array(after) - np.array(before[0])).max() > 50


def test_arrow_keys_take_the_wheel(page: Page) -> None:
    assert page.evaluate("state.driver") == 0
    page.keyboard.down("ArrowLeft")
    page.keyboard.down("ArrowUp")
    page.wait_for_function("state.action[0] === -WHEEL && state.action[1] === GAS")
    assert page.evaluate("state.driver") == -1
    assert page.get_by_role("button", name="You").get_attribute("aria-pressed") == "true"
    page.keyboard.up("ArrowLeft")
    page.keyboard.down("ArrowDown")
    page.wait_for_function("state.action[0] === 0 && state.action[2] === BRAKE")
    page.keyboard.up("ArrowUp")
    page.keyboard.up("ArrowDown")
    page.wait_for_function("state.action.every((x) => x === 0)")
    page.keyboard.press("c")
    page.wait_for_function("state.driver === 0 && state.action[1] > 0")


def test_keys_serve_after_a_click_with_caps_lock_and_on_another_keyboard(page: Page) -> None:
    page.get_by_role("button", name="You").click()
    page.keyboard.press("Space")  # not the button's, which was only pointed at
    assert page.evaluate("state.paused") is True
    page.keyboard.press("Space")
    page.keyboard.press("C")
    assert page.evaluate("[state.paused, state.driver]") == [False, 0]
    key = "new KeyboardEvent('keydown', {key: '\u0441', code: 'KeyC', bubbles: true, repeat: %s})"
    page.evaluate(f"document.body.dispatchEvent({key % 'false'})")  # Cyrillic
    assert page.evaluate("state.driver") == 1
    page.evaluate(f"document.body.dispatchEvent({key % 'true'})")  # held down
    assert page.evaluate("state.driver") == 1


def test_models_that_need_more_memory_get_it(page: Page) -> None:
    """The page is read again in a sixteenth of a megabyte: it doubles until all fits."""
    found = page.evaluate("""() => {
        const { uniforms, normals } = noise(Math.max(...models.map((of) => of.latent)));
        const dreamt = (dream) => {
            dream.reset(0);
            dream.step([0.1, 0.5, 0], 1, uniforms, normals);
            return [...dream.act(), dream.reward, ...dream.z, ...dream.frame()];
        };
        const before = dreams.map(dreamt);
        const again = readPage(1).dreams.map(dreamt);
        return [KERNEL.name, before, again];
    }""")
    assert found[0] == "WebAssembly"
    assert found[1] == found[2]
    assert all(len(of) > 64 * 64 * 3 for of in found[1])


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("Steer left", "state.action[0] === -WHEEL"),
        ("Steer right", "state.action[0] === WHEEL"),
        ("Gas", "state.action[1] === GAS"),
        ("Brake", "state.action[2] === BRAKE"),
    ],
)
def test_a_finger_on_the_pad_takes_the_wheel(
    chromium: Any, file: Path, name: str, condition: str
) -> None:
    page = opened(chromium, file, "phone")
    box = page.get_by_role("button", name=name).bounding_box()
    at = [{"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}]
    finger = page.context.new_cdp_session(page)
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at})
    page.wait_for_function(f"state.driver === YOU && {condition}")
    assert page.get_by_role("button", name=name).bounding_box() == box  # it does not move away
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("state.action.every((x) => x === 0)")
    assert not page.faults
    page.context.close()


def test_touch_hands_over_to_a_controller_and_picks_a_start(chromium: Any, file: Path) -> None:
    page = opened(chromium, file, "phone")
    page.get_by_role("button", name="You").tap()
    assert page.evaluate("state.driver") == -1
    page.get_by_role("button", name="VAE-GAN\u2019s controller").tap()
    assert page.evaluate("state.driver") == 1
    page.get_by_role("button", name="Start 4").tap()
    assert page.evaluate("[state.start, dreams[0].steps < 5]") == [3, True]
    page.get_by_role("button", name="Pause").tap()
    steps = page.evaluate("dreams[0].steps")
    page.wait_for_timeout(200)
    assert page.evaluate("dreams[0].steps") == steps
    page.get_by_role("button", name="Restart").tap()
    assert page.evaluate("dreams.map((dream) => dream.steps)") == [0, 0]
    start = np.array(page.evaluate("[...dreams[0].z]"))
    page.get_by_role("button", name="Go on").tap()
    page.wait_for_function("dreams[0].steps > 3")
    assert np.abs(np.array(page.evaluate("[...dreams[0].z]")) - start).max() > 0
    page.context.close()


def test_both_dreams_get_the_same_action_and_the_same_noise(chromium: Any, file: Path) -> None:
    page = opened(chromium, file, "desktop")
    seen = page.evaluate("""() => {
      const seen = [];
      for (const dream of dreams) {
        const step = dream.step.bind(dream);
        dream.step = (action, temperature, uniforms, normals) => {
          seen.push([action, temperature, uniforms, normals]);
          step(action, temperature, uniforms, normals);
        };
      }
      step();
      return seen;
    }""")
    assert len(seen) == 2
    assert seen[0] == seen[1]
    page.context.close()


def test_the_slider_is_the_temperature(page: Page) -> None:
    page.get_by_label("Temperature").fill("0.35")
    assert page.evaluate("state.temperature") == 0.35
    assert page.inner_text("#degrees") == "0.35"
    page.get_by_label("Temperature").press("ArrowRight")  # the slider's, not the car's
    assert page.evaluate("[state.temperature, state.driver]") == [0.4, 0]


def test_a_click_on_the_slider_s_name_leaves_the_keys_to_the_car(page: Page) -> None:
    page.get_by_text("Temperature", exact=True).first.click()
    page.keyboard.down("ArrowUp")
    assert page.evaluate("[holders.gas.size, state.temperature]") == [1, 1]
    page.keyboard.up("ArrowUp")
    assert not page.evaluate("holders.gas.size")


def test_the_slider_has_its_own_keys_and_no_others(page: Page) -> None:
    page.get_by_label("Temperature").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("c")
    page.keyboard.press("Space")
    assert page.evaluate("[state.temperature, state.driver, state.paused]") == [1.05, 1, True]


def test_space_and_enter_press_the_pedal_that_has_the_focus(page: Page) -> None:
    for key in ("Space", "Enter"):
        page.get_by_role("button", name="Gas").focus()
        page.keyboard.down(key)
        assert page.evaluate("[holders.gas.size, state.paused]") == [1, False]
        page.keyboard.up(key)
        assert not page.evaluate("holders.gas.size")
    page.keyboard.down("Space")
    page.get_by_role(
        "button", name="Brake"
    ).focus()  # nobody tells the pedal that the key is let go
    assert not page.evaluate("holders.gas.size")
    page.keyboard.up("Space")


def test_a_press_between_two_steps_counts_for_one(page: Page) -> None:
    page.click("#pause")
    gas = page.evaluate("""() => {
        for (const type of ["keydown", "keyup"]) {
            document.body.dispatchEvent(new KeyboardEvent(type, {key: "ArrowUp", bubbles: true}));
        }
        return [1, 2].map(() => { step(); return state.action[1]; });
    }""")
    assert gas == [0.6, 0]


def test_a_click_without_a_pointer_presses_a_pedal_for_a_while(page: Page) -> None:
    page.evaluate("document.querySelector('[data-hold=gas]').click()")  # as a screen reader does
    assert page.evaluate("[state.driver, holders.gas.size]") == [-1, 1]
    page.wait_for_function("state.action[1] === GAS")
    page.wait_for_function("!holders.gas.size && state.action[1] === 0")


def test_who_lets_go_does_not_let_go_for_another(page: Page) -> None:
    page.get_by_role("button", name="Gas").focus()
    page.keyboard.down("ArrowUp")
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.get_by_role("button", name="Brake").focus()
    assert page.evaluate("holds('gas')")
    page.keyboard.up("ArrowUp")
    page.wait_for_function("!holds('gas')")


def test_a_thumb_slides_from_pedal_to_pedal(chromium: Any, file: Path) -> None:
    page = opened(chromium, file, "phone on its side")
    finger = page.context.new_cdp_session(page)
    left, right = (page.get_by_label(f"Steer {side}").bounding_box() for side in ("left", "right"))
    middles = [{"x": of["x"] + of["width"] / 2, "y": of["y"] + of["height"] / 2}
               for of in (left, right)]  # fmt: skip
    gap = {"x": (left["x"] + left["width"] + right["x"]) / 2, "y": middles[0]["y"]}
    held = "['left', 'right'].filter((pedal) => holders[pedal].size).join()"
    for kind, at, expected in (
        ("touchStart", middles[0], "left"),
        ("touchMove", gap, "left"),
        ("touchMove", middles[1], "right"),
    ):
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
        page.wait_for_function(f"{held} === '{expected}'")
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function(f"{held} === ''")
    assert not page.faults
    page.context.close()


def test_the_page_says_who_drives_and_that_it_is_paused(page: Page) -> None:
    hint = " An arrow key or the pad hands the wheel to you."
    assert page.inner_text("#status") == "VAE\u2019s controller drives." + hint
    page.evaluate("dreams[0].steps = LONGEST")
    page.wait_for_function("dreams[0].ended && !dreams[1].ended")
    expected = "VAE\u2019s dream is over. VAE-GAN\u2019s controller drives." + hint
    page.wait_for_function("(text) => element('status').textContent === text", arg=expected)
    page.click("#pause")
    assert page.inner_text("#status") == "Paused. " + expected
    assert page.inner_text("#rate") == ""
    page.keyboard.press("ArrowLeft")  # who drives goes on
    assert page.inner_text("#status") == "VAE\u2019s dream is over. You drive."


def test_a_slow_screen_gets_two_steps_in_a_picture(chromium: Any, file: Path) -> None:
    page = opened(chromium, file, "desktop")
    steps = page.evaluate("""() => {
        state.paused = true;
        performance.now = () => 0; // whatever else this machine does
        const before = dreams[0].steps;
        clock.due = 2 * STEP;
        advance(clock.last);
        return dreams[0].steps - before;
    }""")
    assert steps == 2
    page.context.close()


def test_a_dream_that_expects_its_end_stops_and_all_start_again(chromium: Any, file: Path) -> None:
    page = opened(chromium, file, "desktop")
    page.evaluate("""() => {
      const memory = dreams[0].models.memory;
      const real = memory.step.bind(memory);
      memory.step = (z, action) => ({ ...real(z, action), end: 0.9 });
    }""")
    page.wait_for_function("dreams[0].ended")
    stopped = page.evaluate("dreams[0].steps")
    assert page.locator(".over").first.inner_text() == "The memory expects the drive to end here."
    page.wait_for_function("dreams[1].steps > dreams[0].steps + 3 || dreams[1].ended")
    assert page.evaluate("dreams[0].steps") == stopped
    page.evaluate("dreams[1].steps = LONGEST - 1")
    page.wait_for_function("dreams[1].ended")
    assert page.locator(".over").last.inner_text() == "1000 steps: a drive is over."
    page.wait_for_function("!dreams[0].ended")
    page.wait_for_function("dreams[0].steps > 0")
    page.context.close()


def test_the_rate_is_shown(page: Page) -> None:
    page.wait_for_function("state.rate > 0")
    assert "steps/s" in page.inner_text("#rate")


@pytest.mark.parametrize(
    "what", ["pause(true), pause(false)", "document.dispatchEvent(new Event('visibilitychange'))"]
)
def test_the_rate_is_of_the_time_in_which_dreams_went_on(page: Page, what: str) -> None:
    page.wait_for_function("clock.steps > 5")
    clock = "[clock.last, clock.due, clock.steps, clock.busy]"  # at once: time goes on
    assert page.evaluate(f"({what}, {clock})") == [None, 0, 0, 0]


def test_no_step_is_counted_when_all_dreams_are_over(page: Page) -> None:
    counted = page.evaluate("""() => {
        dreams.forEach((dream) => { dream.ended = true; });
        Object.assign(clock, { steps: 7, due: STEP, since: 1, busy: 5 });
        advance(9);
        return [clock.steps, clock.since, clock.busy];
    }""")
    assert counted == [0, 9, 0]


def test_who_wants_no_motion_starts_it(chromium: Any, file: Path) -> None:
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.inner_text("#status").startswith("Paused.")
    assert page.evaluate("dreams[0].steps") == 0
    page.click("#pause")
    page.wait_for_function("dreams[0].steps > 0")
    context.close()


def test_the_page_says_what_it_was_made_from(page: Page) -> None:
    said = page.locator("#made").text_content()
    assert "CarRacing-v3" in said
    blocks = page.evaluate("[...document.querySelectorAll('.numbers')].map((b) => b.textContent)")
    for block in blocks:
        assert hashlib.sha256(base64.b64decode(block)).hexdigest()[:12] in said
