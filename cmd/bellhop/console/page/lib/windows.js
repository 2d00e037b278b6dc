// The widget's four windows: calls and errors of the last hour, day, week, and of all time.
import { get } from './api.js'
import { fill, h, setText } from './dom.js'
import { num, rate, short, when } from './format.js'
import { spark } from './ui.js'

const day = 86400e3
const windows = [['1h', 'Last hour', 'minute'], ['24h', 'Last day', 'hour'], ['7d', 'Last week', 'hour'], ['all', 'All']]

// asked gives a window's counts: {sum, points, since}.
async function asked(key, step, signal) {
	if (key !== 'all') return get('/series', { from: key, step }, signal)
	const sum = await get('/stats', null, signal)
	// Days are kept for two years: what is older is in the sum alone.
	const from = Math.max(Date.parse(sum.since), Date.now() - 729 * day)
	const age = Date.now() - from
	const { points } = await get('/series', { from: new Date(from).toISOString(), step: age < day / 4 ? 'minute' : age < 20 * day ? 'hour' : 'day' }, signal)
	return { sum, points }
}

// widget makes the windows, each a link to the overview. refresh() asks anew, mark(key) says which one is chosen.
export function widget(signal, target) {
	const cells = windows.map(([key, text, step]) => {
		const [calls, errors, share, name, wrong, line] = [h('b', '–'), h('b', '–'), h('span', 'errors'), h('h3', text), h('div'), h('div', h('div.spark'))]
		wrong.append(errors, share)
		const el = h('a.window', { href: `/?window=${key}`, target }, name, h('div.figures', h('div', calls, h('span', 'calls')), wrong), line)
		const refresh = async () => {
			const { sum, points } = await asked(key, step, signal)
			for (const [b, n] of [[calls, sum.calls], [errors, sum.errors]]) {
				setText(b, short(n, innerWidth < 760 ? 1e4 : 1e5))
				b.title = num(n)
			}
			setText(share, sum.errors ? `errors, ${rate(sum)}` : 'errors')
			wrong.className = sum.errors ? 'some' : ''
			if (sum.since) setText(name, `Since ${when(sum.since).replace(/:\d\d$/, '')}`)
			fill(line, spark(points))
		}
		return { key, el, refresh }
	})
	return {
		el: h('div.widget', cells.map((c) => c.el)),
		mark: (key) => cells.forEach((c) => (c.key === key ? c.el.setAttribute('aria-current', 'true') : c.el.removeAttribute('aria-current'))),
		refresh: () => Promise.all(cells.map((c) => c.refresh())),
	}
}
