// Each endpoint's lane: what it is doing, how it fares, and pause and resume.
import { every, get, post } from '../lib/api.js'
import { fill, h } from '../lib/dom.js'
import { num } from '../lib/format.js'
import { action, badge, bar, confirm, empty, errorRate, head, link, loading, notice, panel, show, table, until } from '../lib/ui.js'

// origin is what lanes go by: scheme, host and port.
function origin(url) {
	try {
		const u = new URL(url)
		return `${u.protocol}//${u.hostname}:${u.port || (u.protocol === 'https:' ? 443 : 80)}`
	} catch {
		return url
	}
}

const none = { calls: 0, errors: 0, delivered: 0 }

export function view({ root, signal, title, session }) {
	title('Endpoints')
	const place = h('div', loading(6))
	fill(root, head('Endpoints'), panel('Lanes', h('small', 'In flight and queued: this daemon. Waiting and pauses: the whole cluster. Calls: 24 hours.'), place))

	const hold = (l) => action(l.paused ? 'Resume' : 'Pause', async () => {
		if (!l.paused && !(await confirm(`Hold ${l.endpoint} back?`, 'On every daemon, until it is resumed. What is for it waits on the bus; nothing is lost.', 'Pause'))) return
		await post(l.paused ? '/lanes/resume' : '/lanes/pause', { endpoint: l.endpoint })
		notice(`${l.endpoint} ${l.paused ? 'goes on' : 'is paused'}.`, 'ok')
		setTimeout(load)
	}, '', { 'aria-label': `${l.paused ? 'Resume' : 'Pause'} ${l.endpoint}` })
	const state = (l) => {
		if (l.paused) return badge('bad', 'Paused')
		if (!l.paused_until || new Date(l.paused_until) < Date.now()) return badge('ok', 'Open')
		return [badge('warn', 'Held back'), h('span.sub', 'goes on ', until(l.paused_until, 'now'))]
	}
	const load = () => show(place, signal, async () => {
		const [lanes, counts] = await Promise.all([get('/lanes', null, signal), get('/breakdown', { by: 'endpoint', from: '24h', limit: 1000 }, signal)])
		const of = new Map()
		for (const i of counts.items) {
			const c = { ...(of.get(origin(i.value)) ?? none) }
			for (const k in c) c[k] += i[k]
			of.set(origin(i.value), c)
		}
		// A button that is in use must not be replaced under the finger.
		if (place.querySelector('button:is([aria-busy], :active)')) return undefined
		if (!lanes.items.length) return empty('No endpoint has had work yet', 'A lane appears with the first delivery to its endpoint.')
		return table('Lanes', ['Endpoint.wide', 'State', 'In flight', 'Queued.num', 'Waiting.num', 'Calls.num', 'Errors.num', 'Error rate.num', '~Do.num'], lanes.items.map((l) => {
			const c = of.get(origin(l.endpoint)) ?? none
			return [link(`/deliveries?endpoint=${encodeURIComponent(l.endpoint.replace(/:(80|443)$/, '') + '/*')}`, l.endpoint), state(l),
				h('span.flight', `${num(l.in_flight)} of ${num(l.concurrency)}`, bar(l.in_flight, l.concurrency)), num(l.queued), num(l.waiting), num(c.calls), num(c.errors), errorRate(c), session.can_write && hold(l)]
		}), '.cards.hover')
	})
	every(2500, load, signal)
}
