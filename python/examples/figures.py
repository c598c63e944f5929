"""What transformer.py shows: the curve of a run, and pictures beside each other."""
import io
import pathlib

from PIL import Image


def draw_curve(state, path):
    """Bits a token by step as SVG: of batches grey, held out black, by frequencies alone dashed."""
    high, unigram, last = state["bits"]["uniform"], state["bits"]["unigram"], state["step"]
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 560 220" font-family="sans-serif" font-size="12">',
             f'<rect width="560" height="220" fill="#fff"/><text x="480" y="214">step {last}</text>']
    scale = 180 / (high - min(min(point[1:]) for point in state["curve"]))
    for points, style in (([(step, seen) for step, seen, _ in state["curve"]], 'stroke="#999"'),
                          ([(step, held) for step, _, held in state["curve"]], 'stroke="#000"'),
                          ([(0, unigram), (last, unigram)], 'stroke="#000" stroke-dasharray="4"')):
        places = " ".join(f"{10 + 490 * x / last:.1f},{10 + (high - y) * scale:.1f}" for x, y in points)
        parts.append(f'<polyline points="{places}" fill="none" {style}/>')
        if "#000" in style:
            parts.append(f'<text x="505" y="{14 + (high - points[-1][1]) * scale:.1f}">{points[-1][1]:.2f}</text>')
    pathlib.Path(path).write_text("\n".join(parts + ["</svg>\n"]), encoding="utf-8")


def save_sheet(rows, path):
    """Rows of PNG files as one picture, 1:1 and two pixels apart; what a short row lacks is white."""
    pictures = [[Image.open(io.BytesIO(one)) for one in row] for row in rows]
    width, height = pictures[0][0].width + 2, pictures[0][0].height + 2
    canvas = Image.new("RGB", (width * max(map(len, rows)), height * len(rows)), "white")
    for y, x in ((y, x) for y, row in enumerate(pictures) for x in range(len(row))):
        canvas.paste(pictures[y][x], (x * width, y * height))
    canvas.save(path)
