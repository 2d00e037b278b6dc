// The zoomable chart of calls and errors, drawn by uPlot.
import { h } from './dom.js'
import { short } from './format.js'

let library

// bring puts an element that loads something into the head, and waits until it has.
const bring = (el) => new Promise((done, fail) => {
	el.onload = done
	el.onerror = () => fail(Error('The chart did not load.'))
	document.head.append(el)
})

// load brings uPlot in when a chart is first wanted, its style sheet too: a chart that is drawn before that moves when it comes.
const load = () => library ??= Promise.all([
	bring(h('link', { rel: 'stylesheet', href: '/assets/vendor/uplot/uPlot.min.css' })),
	bring(h('script', { src: '/assets/vendor/uplot/uPlot.iife.min.js' })),
])

// colour gives what a custom property is in the theme of now: a canvas cannot follow it by itself.
function colour(name, alpha = 1) {
	const probe = h('i', { style: { color: `var(--${name})`, display: 'none' } })
	document.body.append(probe)
	const c = getComputedStyle(probe).color
	probe.remove()
	return alpha === 1 ? c : c.replace(/^rgb\(/, 'rgba(').replace(/\)$/, `, ${alpha})`)
}

// timeChart draws into a box. onzoom(from, to) gets seconds when a part is selected; onpoint(i) the point under the cursor, or null.
export async function timeChart(box, signal, onzoom, onpoint) {
	await load()
	if (signal.aborted) return null
	let plot
	let data = [[], [], []]
	let seconds = 60
	const font = '12px system-ui, "DejaVu Sans", sans-serif'

	const make = () => {
		plot?.destroy()
		const bars = uPlot.paths.bars({ size: [0.84, 40], align: 1 })
		const axis = { stroke: colour('muted'), font, grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line'), width: 1, size: 4 } }
		plot = new uPlot({
			width: box.clientWidth - 12, height: box.clientHeight - 8, legend: { show: false },
			padding: [8, 18, 0, 0],
			cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false, dist: 6 } },
			scales: { x: { time: true, range: (u, min, max) => [min, Math.max(max, min + 1) + seconds] }, y: { range: (u, min, max) => [0, Math.max(4, max * 1.08)] } },
			axes: [
				{ ...axis, grid: { show: false }, size: 46, space: 70, values: [
					[86400, '{DD} {MMM}', null, null, null, null, null, null, 1],
					[3600, '{HH}:{mm}', '\n{DD} {MMM}', null, '\n{DD} {MMM}', null, null, null, 1],
					[60, '{HH}:{mm}', '\n{DD} {MMM}', null, '\n{DD} {MMM}', null, null, null, 1],
					[1, '{HH}:{mm}:{ss}', '\n{DD} {MMM}', null, '\n{DD} {MMM}', null, null, null, 1],
				] },
				{ ...axis, size: 52, space: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 1e8], values: (u, vs) => vs.map(short) },
			],
			series: [
				{},
				{ label: 'Calls', fill: colour('calls', 0.55), stroke: colour('calls'), width: 0, paths: bars, points: { show: false } },
				{ label: 'Errors', fill: colour('bad'), stroke: colour('bad'), width: 0, paths: bars, points: { show: false } },
			],
			hooks: {
				setCursor: [(u) => {
					// The period that the cursor is in, not the beginning that is nearest.
					const t = u.cursor.left >= 0 ? u.posToVal(u.cursor.left, 'x') : -1
					const i = data[0].length ? Math.floor((t - data[0][0]) / seconds) : -1
					onpoint(t >= 0 && i >= 0 && i < data[0].length ? i : null)
				}],
				setSelect: [(u) => {
					if (u.select.width < 6) return
					const from = u.posToVal(u.select.left, 'x')
					const to = u.posToVal(u.select.left + u.select.width, 'x')
					u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false)
					onzoom(from, to)
				}],
			},
		}, data, box)
	}
	make()
	const observer = new ResizeObserver(() => plot.setSize({ width: box.clientWidth - 12, height: box.clientHeight - 8 }))
	observer.observe(box)
	document.addEventListener('theme', make, { signal })
	signal.addEventListener('abort', () => {
		observer.disconnect()
		plot.destroy()
	})
	return {
		// show draws points of a series; step is their length in seconds.
		show(points, step) {
			seconds = step
			data = [points.map((p) => Date.parse(p.at) / 1000), points.map((p) => p.calls), points.map((p) => p.errors)]
			plot.setData(data)
		},
	}
}
