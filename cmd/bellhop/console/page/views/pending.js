// What is scheduled or waits for room, soonest first.
import { every, get, query as address } from '../lib/api.js'
import { fill, h } from '../lib/dom.js'
import { filters, read } from '../lib/filters.js'
import { endpoint, num } from '../lib/format.js'
import { badge, bar, btn, empty, field, head, hook, link, loading, reason, select, show, table, time, until } from '../lib/ui.js'
import { dues, states } from '../lib/words.js'
import { bulk } from './bulk.js'

const columns = ['Due.nowrap', 'State', 'Event', 'Rule and webhook', 'Endpoint.wide', 'Attempt.num', 'After.wide']

export function view({ root, query, signal, title, session, go }) {
	title('Pending')
	let asked = {}
	const at = (more) => '/pending' + address({ ...asked, cursor: '', ...more })
	const set = (more) => go(at(more))
	const state = select([['', 'Any state'], ...Object.entries(states)], (v) => set({ state: v }))
	const f = filters(set, signal)
	const sums = h('div.sums')
	const place = h('div', loading(8))
	const foot = h('footer.pager')
	fill(root,
		head('Pending', { note: h('span.muted', 'Attempts to come, of the whole cluster'), end: session.can_write && btn('Cancel pending …', async () => (await bulk('cancel', asked)) && load()) }),
		sums,
		h('form.filters', { role: 'search', 'aria-label': 'Filter what is pending', onsubmit: (e) => e.preventDefault() }, field('State', state), field('Rule', f.rule), field('Event type', f.type), field('Endpoint', f.endpoint)),
		h('section.panel', { 'aria-label': 'Attempts to come' }, place, foot))

	const count = (due) => {
		const most = Math.max(1, ...due.map((d) => d.count))
		fill(sums, due.map((d) => h('div', h('span.muted', dues[d.within] ?? d.within), h('b', d.count === null ? '–' : num(d.count)), bar(d.count, most, '.warn'))))
	}
	count(Object.keys(dues).map((within) => ({ within, count: null })))

	const load = () => show(place, signal, async () => {
		const p = await get('/pending', asked, signal)
		count(p.due)
		fill(foot, asked.cursor && h('a.button', { href: at() }, '« Soonest'),
			h('span.muted', `${num(p.total)} in all${p.complete ? '' : '; not all were looked at, and the order is that of those that were'}`),
			p.next && h('a.button', { href: at({ cursor: p.next }) }, 'Later ›'))
		if (!p.items.length) return empty('Nothing is pending', 'Every delivery that matches is settled.')
		return table('Attempts to come, soonest first', columns, p.items.map((i) => [
			i.due ? [until(i.due), h('span.sub', time(i.due))] : 'when there is room', badge(i.state === 'waiting' ? 'none' : 'warn', states[i.state]),
			link(`/deliveries/${i.delivery_id}`, i.event_type), hook(i), endpoint(i.endpoint), `${i.attempt} of ${i.max_attempts}`, i.error ? reason(i.error) : '',
		]), '.cards.hover')
	})
	const take = (q) => {
		asked = read(q, ['state', 'rule', 'type', 'endpoint', 'cursor'])
		state.value = asked.state ?? ''
		for (const k in f) f[k].value = asked[k] ?? ''
	}
	take(query)
	every(3000, load, signal)
	return (q) => {
		take(q)
		load()
	}
}
