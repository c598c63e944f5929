#!/usr/bin/python3
"""Draws a picture, what comes back of it, and the words of its tokens over a part of it.

    VQCT_BUILD=build/release tests/bench/words.py MODEL PICTURE OUTPUT [--place ROW,COLUMN]

Asks a server of its own, as a web backend would: /v1/reconstruct?words=true. The part is 8 x 8
tokens, at --place of the token grid.
"""
import argparse
import base64
import io
import json
import os
import sys
import urllib.request

from PIL import Image, ImageDraw, ImageFont

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests/integration"))
import serving  # noqa: E402

PART, CELL, SIDE, GAP = 8, 96, 376, 16
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf"


def reconstruct(server, body):
    """What /v1/reconstruct says of one picture."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/v1/reconstruct?words=true", body,
        {"Content-Type": "application/octet-stream", "Accept": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def picture_of(base64_png):
    return Image.open(io.BytesIO(base64.b64decode(base64_png))).convert("RGB")


def font_for(text):
    """The largest font up to 15 in which the text fits a cell."""
    for size in range(15, 6, -1):
        font = ImageFont.truetype(FONT, size)
        if font.getlength(text) <= CELL - 8:
            return font
    return font


def enlarge_with_words(original, words, columns, top, left):
    pixels = original.width // columns
    part = original.crop((left * pixels, top * pixels, (left + PART) * pixels, (top + PART) * pixels))
    part = part.resize((PART * CELL, PART * CELL), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(part)
    for row in range(PART):
        for column in range(PART):
            x, y = column * CELL, row * CELL
            draw.rectangle((x, y, x + CELL, y + CELL), outline="#00000060")
            for line, plane in enumerate(("adjective", "noun")):
                text = words[plane][(top + row) * columns + left + column]
                draw.text((x + CELL / 2, y + CELL / 2 - 11 + 22 * line), text, "white",
                          font_for(text), "mm", stroke_width=2, stroke_fill="black")
    return part


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("picture")
    parser.add_argument("output")
    parser.add_argument("--place", default="8,8")
    arguments = parser.parse_args()
    top, left = map(int, arguments.place.split(","))
    with open(arguments.picture, "rb") as file:
        data = file.read()
    with serving.Server(arguments.model) as server:
        answer = reconstruct(server, data)
    found = answer["images"][0]
    original, back = picture_of(found["original"]), picture_of(found["image"])
    words = dict(zip((plane["name"] for plane in answer["planes"]), found["words"]))
    columns = found["grid"][1]
    marked = original.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    scale = SIDE / columns
    ImageDraw.Draw(marked).rectangle((left * scale, top * scale, (left + PART) * scale,
                                      (top + PART) * scale), outline="white", width=2)
    sheet = Image.new("RGB", (SIDE + GAP + PART * CELL, PART * CELL), "white")
    sheet.paste(marked, (0, 0))
    sheet.paste(back.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (0, SIDE + GAP))
    sheet.paste(enlarge_with_words(original, words, columns, top, left), (SIDE + GAP, 0))
    sheet.save(arguments.output, quality=85)
    print(f"PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.3f}")


if __name__ == "__main__":
    main()
