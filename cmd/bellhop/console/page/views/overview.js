// How it goes: the counts of all windows, and for the chosen one the course of time, latency, errors and endpoints; then what is to come.
import { every, get } from '../lib/api.js'
import { timeChart } from '../lib/chart.js'
import { fill, h, setText } from '../lib/dom.js'
import { bytes, endpoint, ms, num, plural, rate, short, span, when } from '../lib/format.js'
import { bar, bars, btn, empty, errorRate, failure, link, loading, panel, show, table, time } from '../lib/ui.js'
import { widget } from '../lib/windows.js'
import { dues, kinds } from '../lib/words.js'

const minute = 60e3
const hour = 60 * minute
const lengths = { '1h': hour, '24h': 24 * hour, '7d': 168 * hour, all: 0 }
const steps = { minute, hour, day: 24 * hour }
const iso = (t) => new Date(Math.round(t / 1000) * 1000).toISOString().replace('.000', '')

// stepFor is the finest step that is kept for so long.
const stepFor = (from) => {
	const age = Date.now() - from
	return age < 47 * hour ? 'minute' : age < 89 * 24 * hour ? 'hour' : 'day'
}
// longFor is how long a bar is: more bars than can be told apart are gathered.
const longFor = (from, to, step) => [minute, 5 * minute, 10 * minute, 30 * minute, hour, 6 * hour].find((l) => l >= steps[step] && (to - from) / l <= 180) ?? 24 * hour

export function view({ root, query, signal, title, go }) {
	title('Overview')
	let since = Date.now() - hour // of the counts
	let range = {} // {key, from, to} in milliseconds; without a key both ends are fixed
	let chart = null
	let shown = []

	const bounds = () => {
		const now = Date.now()
		if (!range.key) return [range.from, range.to]
		return [range.key === 'all' ? Math.max(since, now - 729 * 24 * hour) : now - lengths[range.key], now]
	}
	const zoom = (from, to) => {
		const wide = Math.max(to - from, 10 * minute)
		const end = Math.min((from + to + wide) / 2, Date.now())
		go(`/?from=${iso(end - wide)}&to=${iso(end)}`)
	}
	// tool makes a button that moves the ends by parts of the window.
	const tool = (label, text, a, b) => btn(text, () => {
		const [from, to] = bounds()
		zoom(from + a * (to - from), to + b * (to - from))
	}, 'quiet', { 'aria-label': label, title: label })

	const top = widget(signal)
	const at = h('small')
	const box = h('div.chart', { role: 'img', 'aria-label': 'Calls and errors over time' })
	const legend = h('div.legend')
	const rows = h('div')
	const asTable = h('details', { ontoggle: () => tabulate() }, h('summary', 'The same as a table'), rows)
	const [latency, byKind, busiest, worst, due, daemons, bus] = [3, 4, 6, 6, 6, 4, 6].map((n) => h('div', loading(n)))
	fill(root, h('h1.unseen', { tabindex: '-1' }, 'Overview'), top.el, h('div.cols',
		h('div.c8', panel(h('span', 'Calls and errors ', at), h('div', { role: 'group', 'aria-label': 'Window' },
			tool('Earlier', '←', -0.5, -0.5), tool('Later', '→', 0.5, 0.5), tool('Zoom in', '+', 0.25, -0.25), tool('Zoom out', '−', -0.5, 0.5), btn('Reset', () => go('/'), 'quiet')),
		box, legend, asTable)),
		h('div.c4.stack', panel('How long attempts take', null, latency), panel('Errors by kind', null, byKind)),
		h('div.c6', panel('Busiest endpoints', link('/endpoints', 'All endpoints'), busiest)), h('div.c6', panel('Worst endpoints', link('/deliveries?outcome=errors', 'All errors'), worst)),
		h('div.c4', panel('Attempts to come', link('/pending', 'All pending'), due)), h('div.c4', panel('Daemons alive', null, daemons)), h('div.c4', panel('Bus and counts', null, bus))))

	const tell = (p, where) => fill(legend, h('span', h('i'), h('b', num(p.calls)), ' calls'), h('span.errors', h('i'), h('b', num(p.errors)), ' errors'), h('span', rate(p)), h('span', where))

	// head says what the chart is of, as long before there is a chart as afterwards.
	const head = ([from, to]) => {
		const step = stepFor(from)
		const long = longFor(from, to, step)
		setText(at, `${when(iso(from))} to ${range.key ? 'now' : when(iso(to))}, a bar is ${span(long / 1000)}`)
		return [step, long]
	}
	const course = async ([from, to]) => {
		const [step, long] = head([from, to])
		const s = await get('/series', { from: iso(from), to: iso(to), step }, signal)
		const bins = new Map()
		for (const p of s.points) {
			const begin = Math.floor(Date.parse(p.at) / long) * long
			const bin = bins.get(begin) ?? { at: iso(begin), calls: 0, errors: 0 }
			bins.set(begin, { ...bin, calls: bin.calls + p.calls, errors: bin.errors + p.errors })
		}
		shown = Object.assign([...bins.values()], { sum: s.sum, long: long / 1000 })
		box.setAttribute('aria-label', `Calls and errors over time: ${num(s.sum.calls)} calls and ${num(s.sum.errors)} errors in this window`)
		chart?.show(shown, shown.long)
		tell(s.sum, 'in this window')
		tabulate()
	}
	const tabulate = () => {
		if (!asTable.open) return
		const some = shown.filter((p) => p.calls || p.errors).reverse().slice(0, 200)
		fill(rows, some.length ? table('Calls and errors over time, newest first', ['From', 'Calls.num', 'Errors.num', 'Error rate.num'], some.map((p) => [time(p.at), num(p.calls), num(p.errors), errorRate(p)])) : empty('Nothing happened in this window'))
	}

	const counts = async () => {
		if (range.key === 'all') since = Date.parse((await get('/stats', null, signal)).since)
		const mine = range
		const b = bounds()
		const w = { from: iso(b[0]), to: range.key ? '' : iso(b[1]) }
		// An answer for a window that was left meanwhile is not drawn.
		const ask = (into, path, more, make) => show(into, signal, async () => {
			const a = await get(path, { ...w, ...more }, signal)
			return mine === range ? make(a) : undefined
		})
		await Promise.all([
			top.refresh().catch(() => {}),
			course(b).catch((err) => signal.aborted || !err.status || fill(legend, h('span.badtext', err.message))),
			ask(latency, '/latency', {}, drawLatency),
			ask(byKind, '/breakdown', { by: 'kind', sort: 'errors', limit: 6 }, (k) => drawKinds(k, w)),
			ask(busiest, '/breakdown', { by: 'endpoint', sort: 'calls', limit: 8 }, (e) => drawEndpoints(e, 'calls')),
			ask(worst, '/breakdown', { by: 'endpoint', sort: 'errors', limit: 8 }, (e) => drawEndpoints(e, 'errors')),
		])
	}
	const take = (q) => {
		const [from, to] = [Date.parse(q.get('from')), Date.parse(q.get('to'))]
		range = to > from ? { from, to } : { key: q.get('window') in lengths ? q.get('window') : '1h' }
		top.mark(range.key)
		head(bounds())
	}
	take(query)
	timeChart(box, signal, (from, to) => zoom(from * 1000, to * 1000), (i) => {
		if (shown[i]) tell(shown[i], `${when(shown[i].at)}, ${span(shown.long)}`)
		else if (shown.sum) tell(shown.sum, 'in this window')
	}).then((c) => {
		chart = c
		if (shown.long) chart?.show(shown, shown.long)
	}, (err) => fill(box, failure(err)))
	const again = every(5000, counts, signal)
	every(8000, () => Promise.all([
		show(due, signal, async () => drawDue(await get('/pending', { limit: 1 }, signal))),
		show(daemons, signal, async () => drawDaemons(await get('/daemons', null, signal))),
		show(bus, signal, async () => drawBus(await get('/status', null, signal))),
	]), signal)
	return (q) => {
		take(q)
		again()
	}
}

function drawLatency({ count, percentiles, buckets }) {
	if (!count) return empty('No attempt was timed', 'Percentiles appear with the first call.')
	const most = Math.max(...buckets.map((b) => b.count))
	const [least, longest] = [ms(buckets[0].le_ms), ms(buckets.at(-1).le_ms)]
	return [
		h('dl.quad', ['p50', 'p90', 'p95', 'p99'].map((k) => h('div', h('dt', k), h('dd', ms(percentiles[k]))))),
		h('div.histogram', { role: 'img', 'aria-label': `Histogram of ${plural(count, 'attempt')}, from ${least} to ${longest}` }, buckets.map((b) => h('i', { title: `up to ${ms(b.le_ms)}: ${num(b.count)}`, style: { height: `${Math.max(4, (100 * b.count) / most)}%` } }))),
		h('div.ends', h('span', least), h('span', plural(count, 'attempt')), h('span', longest)),
	]
}

function drawKinds({ items }, w) {
	const list = items.map((i) => [i.value, i.errors + (i.rejected ?? 0)]).filter((i) => i[1]).sort((a, b) => b[1] - a[1])
	if (!list.length) return empty('No errors', 'Nothing went wrong in this window.')
	return bars(list.map(([k, n]) => [link(`/deliveries?kind=${k}&from=${w.from}${w.to && '&to=' + w.to}`, kinds[k] ?? k), n]), '.errors')
}

function drawEndpoints({ items }, by) {
	const list = items.filter((i) => i[by])
	if (!list.length) return by === 'errors' ? empty('No endpoint had errors') : empty('No calls in this window', 'Endpoints appear with the first webhook that a rule sends.')
	const order = by === 'errors' ? ['errors', 'calls'] : ['calls', 'errors']
	return table(`Endpoints with the most ${by}`, ['Endpoint.name', '~Share.meter', ...order.map((k) => `${k[0].toUpperCase()}${k.slice(1)}.num`), 'Error rate.num', 'p95.num'], list.map((i) => [
		i.value === '(other)' ? 'Others' : h('a', { href: `/deliveries?endpoint=${encodeURIComponent(i.value)}${by === 'errors' ? '&outcome=errors' : ''}`, title: i.value }, endpoint(i.value)),
		bar(i[by], list[0][by], by === 'errors' ? '.errors' : ''), ...order.map((k) => num(i[k])), errorRate(i), ms(i.p95_ms)]))
}

function drawDue(p) {
	if (!p.total) return empty('Nothing is scheduled', 'Every delivery is settled.')
	return [bars(p.due.map((d) => [dues[d.within] ?? d.within, d.count]), '.warn'), !p.complete && h('p.pad', h('small', `Of the first ones looked at; ${num(p.total)} in all.`))]
}

function drawDaemons({ items, complete }) {
	return h('ul.list', items.map((d) => h('li', h('span', h(`i.dot.${d.ready ? 'ok' : 'bad'}`, { 'aria-hidden': 'true' }), h('strong', d.node), d.self && h('span.muted', ', this one')), h(d.ready ? 'span.oktext' : 'span.badtext', d.ready ? 'ready' : 'not ready'),
		h('small', [d.version, `up ${span((Date.now() - Date.parse(d.started)) / 1000)}`, d.in_flight !== undefined && `${num(d.in_flight)} in flight`, d.rules_version && `rules ${d.rules_version}`].filter(Boolean).join(' · ')))),
	!complete && h('li', h('small.warntext', 'The bus could not be asked: there may be more.')))
}

function drawBus({ bus, backlog, projection: p, store }) {
	const line = (name, value, note) => h('li', h('span', name), h('span.num', value), note && h('small', note))
	return h('ul.list',
		line('Bus', bus.connected ? h('span.oktext', 'connected') : h('span.badtext', 'away'), `${bus.address}${bus.schedules ? '' : ' · keeps no schedules: retries wait by delayed redelivery'}`),
		line('Events not yet taken', short(backlog.events)), line('Events taken, not yet settled', short(backlog.held)), line('Attempts scheduled or waiting', short(backlog.pending)),
		line('Outcomes not yet counted', p.error ? h('span.badtext', 'stopped') : short(p.lag), p.error || `counted up to ${num(p.sequence)} of ${num(p.last)}`),
		line('Store', bytes(store.size)))
}
