// Outcomes, newest first: filtered by the address, live while it is at the newest, paged by cursor.
import { get, query as address, stream } from '../lib/api.js'
import { fill, h, setText } from '../lib/dom.js'
import { filters, read } from '../lib/filters.js'
import { endpoint, ms, num, when } from '../lib/format.js'
import { badge, btn, column, empty, field, head, headings, hook, link, loading, reason, row, select, show, time } from '../lib/ui.js'
import { kinds } from '../lib/words.js'
import { bulk } from './bulk.js'

const columns = ['Time.nowrap.bare', 'Outcome.bare', 'Event.bare', 'Attempt.num.bare', 'Rule and webhook.nowrap.bare', 'Took.num.bare', 'Endpoint.cut.wide.bare', 'Result.cut.wide.bare'].map(column)
const outcomes = [['', 'All outcomes'], ['errors', 'Errors'], ['delivered', 'Delivered'], ['retrying', 'Retrying'], ['failed', 'Failed'], ['rejected', 'Rejected']]
const spans = [['', 'Any time'], ['15m', 'Last 15 minutes'], ['1h', 'Last hour'], ['24h', 'Last day'], ['7d', 'Last week'], ['custom', 'From … to …']]
const names = ['outcome', 'rule', 'webhook', 'endpoint', 'type', 'kind', 'from', 'to', 'q']

// mostRows bounds what a live list grows to before it begins anew.
const mostRows = 400

function cells(o) {
	const result = o.error ? h('span', { title: o.error.message }, reason(o.error)) : String(o.status ?? '')
	if (o.outcome === 'rejected') return [time(o.at, true), badge(o.outcome), o.subject ?? '', '', h('span.muted', `${o.stream}, sequence ${o.event_seq}`), '', '', result]
	return [
		time(o.started_at ?? o.at, true), badge(o.outcome), link(`/deliveries/${o.delivery_id}`, o.event_type), [o.run > 1 && h('span.muted', `run ${o.run}, `), `${o.attempt} of ${o.max_attempts}`],
		hook(o), ms(o.duration_ms), h('span', { title: o.endpoint }, endpoint(o.endpoint)), result,
	]
}

// local is a time as fields for dates and times have it.
function local(iso) {
	const d = new Date(iso)
	return isNaN(d) ? '' : new Date(d - d.getTimezoneOffset() * 60e3).toISOString().slice(0, 19)
}

export function view({ root, query, signal, title, session, go }) {
	title('Deliveries')
	let asked = {} // the filters of now
	let cursor = ''
	let load = new AbortController() // of the list and the stream of now
	let shown = [] // outcomes, newest first
	let waiting = [] // live ones that are not shown yet, oldest first
	let skipped = 0
	let held = false
	let next = ''
	let connected = false
	let followed = false // a stream was opened, which goes on by itself
	let loaded = false

	const set = (more) => go('/deliveries' + address({ ...asked, ...more }))
	const outcome = select(outcomes, (v) => set({ outcome: v }))
	const f = filters((more) => set('rule' in more ? { ...more, webhook: '' } : more), signal)
	const kind = select([['', 'Any error'], ...Object.entries(kinds)], (v) => set({ kind: v }))
	const text = h('input', { type: 'search', placeholder: 'Event, user or delivery', spellcheck: 'false', onchange: () => set({ q: text.value.trim() }) })
	const lapse = select(spans, (v) => set(v === 'custom' ? { from: new Date(Date.now() - 3600e3).toISOString(), to: new Date().toISOString() } : { from: v, to: '' }))
	const between = () => first.value && last.value && set({ from: new Date(first.value).toISOString(), to: new Date(last.value).toISOString() })
	const [first, last] = [0, 1].map(() => h('input', { type: 'datetime-local', step: 1, onchange: between }))
	const range = h('div.range', field('From', first), field('To', last))
	const clear = btn('Clear filters', () => go('/deliveries'), 'quiet')

	const pause = btn('Pause', () => {
		held = !held
		held ? status() : take(false)
	})
	const live = h('span.live', { role: 'status' })
	const fresh = btn('', () => take(true), 'fresh')
	const body = h('tbody', { onfocusout: () => setTimeout(() => waiting.length && take(false)) })
	const grid = h('div.scroll', { tabindex: '0', role: 'region', 'aria-label': 'Outcomes, newest first' }, h('table.cards.hover.deliveries', headings(columns), body))
	const place = h('div.tall', loading(14))
	const foot = h('footer.pager')
	fill(root,
		head('Deliveries', { note: live, end: [pause, session.can_write && [btn('Send failed again …', () => bulk('retry', asked)), btn('Cancel pending …', () => bulk('cancel', asked))]] }),
		h('form.filters', { role: 'search', 'aria-label': 'Filter deliveries', onsubmit: (e) => e.preventDefault() },
			field('Outcome', outcome), field('Rule', f.rule), field('Event type', f.type), field('Endpoint', f.endpoint), field('Error', kind), field('Time', lapse), field('Id', text), range, clear),
		h('section.panel', { 'aria-label': 'Outcomes' }, h('div.freshbar', fresh), place, foot))

	const follows = () => !cursor && !asked.to
	// still tells whether rows must stay where they are: paused, or somebody reads there.
	const still = () => held || window.scrollY > 80 || body.contains(document.activeElement)
	const status = () => {
		const is = !follows() ? 'still' : held ? 'paused' : connected ? 'on' : 'off'
		live.className = `live ${is}`
		setText(live, { on: 'Live', paused: 'Paused', off: 'Connecting …', still: cursor ? 'Older outcomes' : 'A fixed time' }[is])
		setText(pause, held ? 'Go on' : 'Pause')
		pause.hidden = !follows()
		const n = waiting.length + skipped
		fresh.hidden = !n || !loaded || !still()
		setText(fresh, `${num(n)} new${skipped ? ', more than can be followed: show the newest' : ': show'}`)
	}

	// take moves what has come into the list, unless somebody is reading there.
	const take = (wanted) => {
		if (loaded && (wanted || !still())) {
			if (skipped || shown.length + waiting.length > mostRows) return void restart()
			const rows = waiting.splice(0).filter((o) => !shown.length || o.seq > shown[0].seq).reverse()
			if (rows.length && !shown.length) fill(place, grid)
			shown.unshift(...rows)
			body.prepend(...rows.map((o) => row(columns, cells(o), { class: 'fresh' })))
		}
		status()
	}
	const come = (ac) => ({
		after: () => waiting.at(-1)?.seq ?? shown[0]?.seq,
		state: (up) => {
			connected = up
			status()
		},
		outcome: (o) => {
			waiting.push(o)
			if (waiting.length > mostRows) skipped += waiting.splice(0, 100).length
			if (waiting.length === 1) setTimeout(() => ac.signal.aborted || take(false), 150)
			else status()
		},
		skipped: ({ count }) => {
			skipped += count
			status()
		},
	})

	// page reads on where the daemon ended a page early without having found enough.
	const page = async (ac) => {
		const items = []
		next = cursor
		for (let tries = 0; tries < 8; tries++) {
			const list = await get('/deliveries', { ...asked, limit: 50 - items.length, cursor: next }, ac.signal)
			items.push(...list.items)
			next = list.next
			if (!next || items.length >= 50) break
		}
		return items
	}
	const restart = () => {
		load.abort()
		const ac = (load = new AbortController())
		shown = []
		waiting = []
		skipped = 0
		connected = loaded = followed = false
		status()
		return show(place, ac.signal, async () => {
			if (follows() && !followed) {
				followed = true
				// The list is asked for once the stream is open: between the two nothing is missed.
				const { from, ...rest } = asked
				await Promise.race([new Promise((resolve) => setTimeout(resolve, 700)), new Promise((resolve) => {
					const on = come(ac)
					stream('/deliveries/stream', { ...rest, stats: 'false' }, { ...on, state: (up) => resolve(on.state(up)) }, ac.signal)
				})])
			}
			shown = await page(ac)
			loaded = true
			setTimeout(() => ac.signal.aborted || take(false))
			fill(foot, cursor && h('a.button', { href: '/deliveries' + address(asked) }, '« Newest'), h('span.muted', shown.length > 0 && `${when(shown.at(-1).at)} to ${when(shown[0].at)}`),
				next && h('a.button', { href: '/deliveries' + address({ ...asked, cursor: next }) }, 'Older ›'))
			fill(body, shown.map((o) => row(columns, cells(o))))
			if (shown.length) return grid
			if (next) return empty('Nothing found yet', 'The search goes further back with the button below.')
			if (names.some((k) => asked[k])) return empty('No outcome matches', 'Change or clear the filters above.')
			return empty('No deliveries yet', 'They appear here as soon as an event fires a rule. ', link('/try', 'Try an event'), ' to see what it would send.')
		})
	}
	signal.addEventListener('abort', () => load.abort())
	window.addEventListener('scroll', () => window.scrollY <= 80 && waiting.length && take(false), { signal, passive: true })

	const change = (q) => {
		asked = read(q, names)
		cursor = q.get('cursor') ?? ''
		for (const [control, v] of [[outcome, asked.outcome], [f.rule, asked.webhook ?? asked.rule], [f.type, asked.type], [f.endpoint, asked.endpoint], [kind, asked.kind], [text, asked.q]]) control.value = v ?? ''
		const fixed = asked.to || (asked.from && !spans.some(([v]) => v === asked.from))
		lapse.value = fixed ? 'custom' : asked.from ?? ''
		range.hidden = !fixed
		first.value = fixed ? local(asked.from) : ''
		last.value = fixed ? local(asked.to) : ''
		clear.hidden = !names.some((k) => asked[k])
		restart()
	}
	change(query)
	return change
}
