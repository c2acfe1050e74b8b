"""plot: draws the rows that have a bar with gnuplot, relative to it."""
import subprocess

from server import program

SCRIPT = """
set terminal svg size 1300,{height} font 'sans,12' background rgb 'white'
set output '{out}'
set logscale x 2
set xrange [{low}:{high}]
set yrange [{rows} - 0.5:-0.5]
set ytics ({tics})
set format x '%g'
set grid x
set xlabel 'multiple of the bar: 1 reaches it, more is better'
set arrow from 1,-0.5 to 1,{rows} - 0.5 nohead lw 2 lc rgb 'black'
unset key
plot '-' using 1:4:2:3:5 with xerrorbars pt 7 ps 0.8 lw 1.5 lc rgb variable
{data}
e
"""


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def draw(out, rows):
    """Writes the plot to the file `out`. Raises Missing without gnuplot."""
    gnuplot = program("gnuplot")
    rows = [r for r in rows if getattr(r, "bar", None)]
    if not rows:
        return
    lines, low, high = [], 0.5, 2
    for i, r in enumerate(rows):
        middle, *ends = (r.bar.reached(x) for x in (r.ratio, r.least, r.most))
        colour = 0x2E7D32 if r.verdict == "ok" else 0xC62828
        lines.append(f"{middle:.6g} {min(ends):.6g} {max(ends):.6g} {i} {colour}")
        low, high = min(low, min(ends) / 1.2), max(high, max(ends) * 1.2)
    tics = ", ".join(f"{quoted(f'{r.part}: {r.contender} / {r.peer}  {r.bar}')} {i}" for i, r in enumerate(rows))
    script = SCRIPT.format(height=60 + 22 * len(rows), out=out.replace("'", "''"), low=low, high=high, rows=len(rows), tics=tics,
                           data="\n".join(lines))
    subprocess.run([gnuplot], input=script, text=True, check=True)
