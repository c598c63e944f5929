"""The dashboard in a real browser: a picture is tried, its grid and reconstruction appear, the
statistics move. Screenshots go to VQCT_BUILD/dashboard-WIDTH-{light,dark}.png to be looked at."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import serving  # noqa: E402

PICTURE = os.path.join(serving.ROOT, "tests/data/chelsea.jpg")
PRIOR = os.path.join(serving.ROOT, "models/prior-glove-100d.safetensors")


def start_browser(profile):
    from selenium import webdriver
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--force-device-scale-factor=1", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.chrome.service.Service("/usr/bin/chromedriver")
    return webdriver.Chrome(service=service, options=options)


def install_axe():
    """The text of axe-core, which npm fetches once a build folder."""
    folder = os.path.join(serving.BUILD, "axe")
    script = os.path.join(folder, "node_modules", "axe-core", "axe.min.js")
    if not os.path.exists(script):
        if not shutil.which("npm"):
            raise unittest.SkipTest("no npm on this machine")
        os.makedirs(folder, exist_ok=True)
        shutil.copy(os.path.join(serving.ROOT, "tests/integration/axe/package.json"), folder)
        subprocess.run(["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"],
                       cwd=folder, check=True)
    with open(script) as file:
        return file.read()


@unittest.skipUnless(shutil.which("chromedriver") and shutil.which("chromium"),
                     "no chromium with chromedriver on this machine")
class Dashboard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        model = os.path.join(cls.folder.name, "model.safetensors")
        subprocess.run([serving.VQCT, "init", "--preset", "vqct-f8-small", "--prior",
                                PRIOR, "--seed", "1", "--output", model], check=True)
        cls.model = model
        cls.server = serving.Server(model)
        cls.browser = start_browser(os.path.join(cls.folder.name, "profile"))

    @classmethod
    def tearDownClass(cls):
        cls.browser.quit()
        cls.server.__exit__(None)
        cls.folder.cleanup()

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def text(self, selector):
        """The text at a selector; polls replace elements, so it is read in one step."""
        return self.browser.execute_script(
            "return document.querySelector(arguments[0])?.textContent ?? ''", selector)

    def wait(self, condition, what):
        serving.wait_until(condition, what)

    def load(self, server):
        self.browser.get(f"http://127.0.0.1:{server.port}/")

    def open(self, width=1280, height=1500):
        self.browser.set_window_size(width, height)
        self.load(self.server)
        self.wait(lambda: self.text("#state") == "ready", "the state 'ready'")
        self.wait(lambda: self.browser.find_elements("css selector", ".codebook"), "a codebook")

    def try_picture(self):
        self.find("#file").send_keys(PICTURE)
        self.wait(lambda: self.browser.find_elements("css selector", "#reconstruction img")
                  or self.text("#fault"), "a reconstruction")
        self.assertEqual(self.text("#fault"), "")

    def picture(self, name):
        path = os.path.join(serving.BUILD, f"dashboard-{name}.png")
        self.assertTrue(self.browser.save_screenshot(path))

    def faults(self):
        """What the browser complained about; a broken content policy shows here."""
        return [line["message"] for line in self.browser.get_log("browser")
                if line["level"] in ("SEVERE", "WARNING")]

    def test_1_a_picture_is_tried(self):
        self.open()
        self.assertEqual(self.text("#totals div:nth-child(3) dd"), "0")
        self.try_picture()
        size = self.browser.execute_script(
            "const i = document.querySelector('#reconstruction img');"
            "return [i.naturalWidth, i.naturalHeight]")
        self.assertEqual(size, [256, 256])
        grid = self.browser.execute_script(
            "const g = document.querySelector('#original canvas.grid'); return [g.width, g.height]")
        self.assertEqual(grid, [32 * 16, 32 * 16])
        self.assertIn("PSNR", self.text("#quality"))
        self.assertIn("/v1/encode?size=256&words=true", self.text("#curl"))
        self.assertGreater(len(self.browser.find_elements("css selector", "#timings tr")), 2)
        # encode and reconstruct each computed one picture's tokens, reconstruct decoded them
        self.wait(lambda: self.text("#totals div:nth-child(3) dd") == "3", "three pictures")

    def test_2_words_appear_under_the_pointer(self):
        from selenium.webdriver.common.action_chains import ActionChains
        self.open()
        self.try_picture()
        with open(PICTURE, "rb") as file:
            answer = self.server.post("/v1/encode?size=256&words=true", file.read()).json()
        ActionChains(self.browser).move_to_element(self.find("#original canvas.grid")).perform()
        self.wait(lambda: self.text("#cell").startswith("row"), "a position")
        row, column = map(int, re.match(r"row (\d+), column (\d+)", self.text("#cell")).groups())
        # the middle, or the position before it where the picture's width in the page is odd
        self.assertLessEqual({row, column}, {15, 16})
        words = [plane[row * 32 + column] for plane in answer["images"][0]["words"]]
        for word in words:
            self.assertIn(f"“{word}”", self.text("#cell"))

    def test_3_the_codebooks_move(self):
        self.open()
        self.try_picture()
        usage = "#codebook-noun dl div:nth-child(5) dd"
        self.wait(lambda: self.text(usage) not in ("", "0"), "tokens counted")
        self.assertGreater(len(self.browser.find_elements("css selector", "#codebook-noun li")), 0)
        inked = self.browser.execute_script(
            "const c = document.querySelector('#codebook-noun canvas');"
            "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data"
            ".filter((v, i) => i % 4 === 3 && v > 0).length")
        used = self.server.get("/v1/codebook").json()["codebooks"][1]["windows"]["process"]["used"]
        self.assertEqual(inked, used)

    def test_4_both_themes_at_every_width(self):
        for width, height in ((400, 3000), (1000, 2400), (1400, 1700), (1920, 1700), (2560, 1700)):
            self.open(width, height)
            self.try_picture()
            grounds = []
            for name in ("light", "dark"):
                if self.find("html").get_attribute("data-theme") != name:
                    self.find("#theme").click()
                grounds.append(self.browser.execute_script(
                    "return getComputedStyle(document.body).backgroundColor"))
                self.picture(f"{width}-{name}")
            self.assertEqual(grounds, ["rgb(247, 247, 244)", "rgb(20, 22, 26)"])
            over = self.browser.execute_script(
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            self.assertEqual(over, 0, width)

    def test_5_a_bad_picture_is_said_to_be_bad(self):
        self.open()
        path = os.path.join(self.folder.name, "bad.png")
        with open(path, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\nnothing")
        self.try_picture()
        self.find("#file").send_keys(path)
        self.wait(lambda: self.text("#fault"), "a fault")
        self.assertFalse(self.find("#result").is_displayed())  # the picture before is gone
        self.assertTrue(self.text("#fault").startswith("This file cannot be read as a picture."))
        self.assertIn("PNG", self.text("#fault"))
        self.browser.get_log("browser")  # the 422 itself is logged by the browser

    def test_6_the_browser_finds_nothing_to_complain_about(self):
        self.open()
        self.try_picture()
        self.assertEqual(self.faults(), [])
        policy = self.server.get("/").headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)

    def test_7_arrow_keys_walk_pictures_and_codes(self):
        from selenium.webdriver.common.keys import Keys
        self.open()
        self.browser.execute_script("document.querySelector('.sample').click()")
        self.wait(lambda: self.find("#result").is_displayed(), "the sample")
        grid = self.find("#reconstruction canvas.grid")
        grid.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
        self.assertTrue(self.text("#cell").startswith("row 1, column 1:"), self.text("#cell"))
        self.find("#codebook-noun canvas").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
        row = self.server.get("/v1/model").json()["planes"][1]["first"] + 1
        code = self.server.get(f"/v1/codebook/codes/{row}").json()
        self.wait(lambda: self.text("#code-words").startswith(f"{row}: "), "the second noun")
        self.assertIn(f"“{code['word']}”", self.text("#code-words"))
        # What it looks like is what the decoder makes of it: not one colour.
        colours = self.browser.execute_script(
            "const c = document.querySelector('#code .look canvas');"
            "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
            "return new Set(Array.from({length: d.length / 4}, (_, i) =>"
            " d[4 * i] << 16 | d[4 * i + 1] << 8 | d[4 * i + 2])).size")
        self.assertGreater(colours, 16)

    def test_8_words_show_where_they_are_asked_for(self):
        self.open()
        self.try_picture()
        first = "#codebook-noun li button"
        self.wait(lambda: self.text(first), "a most used code")
        self.assertRegex(self.text(first), r"^#\d+ ")
        self.browser.execute_script("document.querySelector('#words').click()")
        top = self.server.get("/v1/codebook").json()["codebooks"][1]["top"][0]
        self.assertTrue(self.text(first).startswith(top["word"]), self.text(first))

    def test_9_axe_finds_no_fault(self):
        script = install_axe()
        self.open(width=1400)
        self.try_picture()
        self.wait(lambda: self.text("#codebook-noun li button"), "a most used code")
        for theme in ("light", "dark"):
            if self.find("html").get_attribute("data-theme") != theme:
                self.find("#theme").click()
            self.browser.execute_script(script)
            found = self.browser.execute_async_script(
                "axe.run().then(arguments[0], (e) => arguments[0]({violations: [String(e)]}))")
            self.assertEqual([(one["id"], [node["html"] for node in one["nodes"]])
                              for one in found["violations"]], [], theme)

    def test_charts_are_walked_by_keys(self):
        from selenium.webdriver.common.keys import Keys
        self.open()
        time, chart = "#charts figure:first-child .time", self.find("#charts .chart")
        self.wait(lambda: self.text(time) == "now" and self.text("#charts .key b") not in ("", "–"),
                  "two readings")
        chart.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        self.assertRegex(self.text(time), r"^\d\d:\d\d:\d\d$")

        def walks_right():  # in one go, since each new reading moves what stands under the cursor
            left, right = self.browser.execute_script("""
                const [chart, time] = arguments, said = [];
                for (const key of ["Escape", "ArrowLeft", "ArrowLeft", "ArrowRight"]) {
                  chart.dispatchEvent(new KeyboardEvent("keydown", {key}));
                  said.push(document.querySelector(time).textContent);
                }
                return said.slice(2);""", chart, time)
            return right > left

        self.wait(walks_right, "two readings that are not of one second")
        chart.send_keys(Keys.ESCAPE)
        self.wait(lambda: self.text(time) == "now", "the newest values")

    def alpha(self, selector):
        """The share of a canvas over the reconstruction that covers it."""
        return self.browser.execute_script(
            "const c = document.querySelector(arguments[0]);"
            "if (getComputedStyle(c).display === 'none') return 0;"
            "const m = /inset\\(0(?:px)? ([\\d.]+)%/.exec(getComputedStyle(c).clipPath);"
            "return m ? 1 - m[1] / 100 : 1", selector)

    def set(self, selector, property, value):
        self.browser.execute_script(
            "const n = document.querySelector(arguments[0]); n[arguments[1]] = arguments[2];"
            "n.dispatchEvent(new Event('input', {bubbles: true}));"
            "n.dispatchEvent(new Event('change', {bubbles: true}))", selector, property, value)

    def test_the_original_is_wiped_in_and_differences_are_seen(self):
        self.open()
        self.try_picture()
        self.assertEqual((self.alpha("#wipe-view"), self.alpha("#difference-view")), (0, 0))
        self.set("#wipe", "value", 30)
        self.assertAlmostEqual(self.alpha("#wipe-view"), 0.3)
        self.set("#difference", "checked", True)
        self.assertEqual(self.alpha("#difference-view"), 1)
        # Four times the difference of the two pictures that stand beside it.
        wrong = self.browser.execute_script(
            "const pixels = (n) => { const c = new OffscreenCanvas(256, 256).getContext('2d');"
            "  c.drawImage(n, 0, 0); return c.getImageData(0, 0, 256, 256).data; };"
            "const [a, b, d] = ['#original canvas.picture', '#reconstruction img', '#difference-view']"
            "  .map((s) => pixels(document.querySelector(s)));"
            "let wrong = 0, most = 0;"
            "for (let i = 0; i < d.length; i++) if (i % 4 !== 3) {"
            "  wrong += d[i] !== Math.min(255, 4 * Math.abs(a[i] - b[i])); most = Math.max(most, d[i]); }"
            "return [wrong, most > 40]")
        self.assertEqual(wrong, [0, True])

    def test_a_tap_reads_a_position(self):
        self.open(width=400, height=3000)
        self.try_picture()
        self.browser.execute_script(
            "const g = document.querySelector('#original canvas.grid'), r = g.getBoundingClientRect();"
            "g.dispatchEvent(new PointerEvent('pointerdown', {pointerType: 'touch', bubbles: true,"
            " clientX: r.left + r.width * 3.5 / 32, clientY: r.top + r.height * 5.5 / 32}))")
        self.assertTrue(self.text("#cell").startswith("row 5, column 3:"), self.text("#cell"))

    def test_codes_are_drawn_by_usage_and_by_drift(self):
        self.open()
        self.try_picture()
        self.wait(lambda: self.text("#codebook-noun li button"), "a most used code")
        draw = ("const c = document.querySelector('#codebook-noun canvas');"
                "return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)")
        usage = self.browser.execute_script(draw)
        self.set("#draw", "value", "drift")
        self.wait(lambda: self.browser.execute_script(draw) != usage, "another drawing")

    def test_a_key_is_asked_for_and_then_all_is_well(self):
        keys = os.path.join(self.folder.name, "keys")
        with open(keys, "w") as file:
            file.write(hashlib.sha256(b"sesame").hexdigest() + " web\n")
        with serving.Server(self.model, "--api-keys", keys) as server:
            self.load(server)
            self.wait(lambda: self.text("#state") == "key wanted", "the question for a key")
            self.assertTrue(self.find("#key").is_displayed())
            self.find("#key").send_keys("sesame\n")
            self.wait(lambda: self.text("#state") == "ready", "the state 'ready'")
            self.try_picture()
            self.assertIn("Authorization: Bearer", self.text("#curl"))
            self.browser.get("about:blank")  # or its polls would hold up the end
        self.browser.get_log("browser")  # the 401 itself is logged by the browser

    def test_a_model_is_chosen(self):
        tiny = os.path.join(self.folder.name, "tiny.safetensors")
        serving.make_model(tiny)
        with serving.Server(f"small={self.model}", "--model", f"tiny={tiny}") as server:
            self.load(server)
            self.wait(lambda: self.find("#models").is_displayed(), "the choice")
            server.post("/v1/encode?size=32", serving.photo())
            self.wait(lambda: self.text("#totals div:nth-child(3) dd") == "1", "a picture")
            self.browser.execute_script(
                "const m = document.querySelector('#models'); m.value = 'tiny';"
                "m.dispatchEvent(new Event('change'))")
            self.wait(lambda: self.text("#model").startswith("tiny "), "the other model")
            self.wait(lambda: self.text("#codebook-noun h3") == "noun, 20 codes", "its codebook")
            self.wait(lambda: self.text("#totals div:nth-child(3) dd") == "0", "its figures")
            self.try_picture()
            self.assertIn("&model=tiny", self.text("#curl"))
            usage = sum(server.get("/v1/codebook/usage?model=tiny").json()["counts"])
            self.assertEqual(usage, 2 * 2 * 64 * 64)  # encoded and reconstructed, 4 pixels a token
            self.wait(lambda: self.text("#totals div:nth-child(3) dd") == "3", "three pictures")
            self.browser.get("about:blank")

    def test_a_banner_says_that_the_service_is_gone(self):
        with serving.Server(self.model) as server:
            self.load(server)
            self.wait(lambda: self.text("#state") == "ready", "the state 'ready'")
            self.assertFalse(self.find("#banner").is_displayed())
        self.wait(lambda: self.find("#banner").is_displayed(), "a banner")
        self.assertEqual(self.text("#state"), "no answer")
        self.assertIn("does not answer", self.text("#banner"))
        self.browser.get_log("browser")


if __name__ == "__main__":
    unittest.main()
