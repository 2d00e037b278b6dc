// One delivery to its end: its attempts, what is to come, what it sent, and the event it is for.
import { getExact, post, stream } from '../lib/api.js'
import { fill, h } from '../lib/dom.js'
import { bytes, ms, span } from '../lib/format.js'
import { action, badge, confirm, copyable, empty, facts, head, hook, link, loading, notice, panel, reason, redraw, show, time, until } from '../lib/ui.js'
import { states } from '../lib/words.js'

export function view({ root, params: { id }, signal, title, session }) {
	title('Delivery')
	const crumb = [link('/deliveries', 'Deliveries'), ` / ${id.slice(0, 12)}…`]
	const top = h('div', head('Delivery', { crumb }))
	const box = h('div.view', loading(14))
	fill(root, top, box)
	let timer
	let turn = 0
	let newest = 0 // the sequence of an outcome that is known to be there

	const load = () => show(box, signal, async () => {
		clearTimeout(timer)
		const mine = ++turn
		const d = await getExact(`/deliveries/${encodeURIComponent(id)}`, signal).catch((err) => {
			if (err.status !== 404) throw err
		})
		if (!d) return h('section.panel', empty('No such delivery', 'Nothing is kept under this id. Outcomes are kept for as long as their stream keeps them.'))
		// An answer that a later one has overtaken is not drawn.
		if (mine !== turn || signal.aborted) return undefined
		// The stream tells of the next outcome, a moment before the list has it; the rest is for when it cannot.
		timer = setTimeout(load, d.outcomes.at(-1)?.seq < newest ? 200 : 5000)
		return draw(d)
	})
	signal.addEventListener('abort', () => clearTimeout(timer))

	const again = () => action('Send again', async () => {
		if (!(await confirm('Send this delivery again?', 'A new run under the same webhook-id: the body as it was first rendered, to the endpoint and with the headers and secrets now in force.', 'Send again'))) return
		notice(`Run ${(await post(`/deliveries/${id}/retry`)).run} is on its way.`, 'ok')
		await load()
	}, 'primary')
	const cancel = () => action('Cancel the next attempt', async () => {
		if (!(await confirm('Cancel the next attempt?', 'The delivery ends as failed, of kind cancelled. It can be sent again later.', 'Cancel the attempt', '.danger'))) return
		newest = (await post(`/deliveries/${id}/cancel`)).seq
		notice('The next attempt is called off.', 'ok')
		await load()
	}, 'danger')

	const draw = (d) => {
		const last = d.outcomes.at(-1)
		const about = last ?? d.pending
		title(`${about.event_type} to ${about.rule}/${about.webhook}`)
		redraw(top, head([about.event_type, h('span.muted', ' to '), hook(about)], { crumb, note: last && badge(last.outcome), end: session.can_write && [d.can_cancel && cancel(), d.can_retry && again()] }))
		return [
			d.pending && next(d.pending),
			h('section.panel', { 'aria-label': 'About' }, facts(
				['Delivery', copyable(id)],
				['Event', copyable(about.event_id), h('br'), link(`/deliveries?q=${encodeURIComponent(about.event_id)}`, 'All it has caused')],
				['Endpoint', about.endpoint, h('br'), link(`/deliveries?endpoint=${encodeURIComponent(about.endpoint)}`, 'Others to it')],
				['Rule', link(`/rules/${about.rule}`, about.rule), ' / ', about.webhook],
				last?.rules_version && ['Version of the rules', link(`/versions?to=${last.rules_version}`, h('code', last.rules_version))],
				['Attempts', `${d.outcomes.length}${about.run > 1 ? ` in ${about.run} runs` : ''}, ${about.max_attempts} at most in a run`])),
			panel('Attempts', null, d.outcomes.length ? attempts(d.outcomes) : empty('None yet')),
			last?.request && panel('What was sent', null, form(last.request)),
			d.event && event(d.event),
		]
	}

	load()
	let broken = false
	stream('/deliveries/stream', { q: id, stats: 'false' }, {
		state: (up) => {
			if (up && broken) load()
			broken = !up
		},
		outcome: (o) => {
			newest = o.seq
			load()
		},
	}, signal)
}

// next says what is to come.
function next(p) {
	return h('section.panel.next', { 'aria-label': 'Next attempt' },
		h('div', h('span.muted', `Next: attempt ${p.attempt} of ${p.max_attempts}`), h('strong', p.due ? until(p.due) : states[p.state])),
		h('div.muted', [p.due && time(p.due), p.state !== 'scheduled' && ` ${states[p.state]}`, p.error && `, after ${p.error.message}`]))
}

// attempts is the list of what was tried, oldest first, with the pauses between.
function attempts(outcomes) {
	return h('ol.attempts', outcomes.map((o, i) => {
		const before = outcomes[i - 1]
		const again = before && o.run !== before.run
		const gap = before && !again && o.started_at ? (Date.parse(o.started_at) - Date.parse(before.started_at ?? before.at) - (before.duration_ms ?? 0)) / 1000 : 0
		return [
			again && h('li.run', `Run ${o.run}: sent again by hand`),
			h(`li.${o.outcome}`,
				h('div.line', badge(o.outcome), h('strong', `Attempt ${o.attempt}`), time(o.started_at ?? o.at, true), gap > 0.05 && h('span.muted', `${gap < 60 ? gap.toFixed(1) + ' s' : span(gap)} after the one before`),
					h('span.end', o.status !== undefined && h('b', String(o.status)), o.duration_ms !== undefined && ms(o.duration_ms), h('span.muted', o.node))),
				o.error && h('p', reason(o.error)),
				before && changed(before, o),
				o.next_attempt_at && !outcomes[i + 1] && h('p.muted', 'Next attempt at ', time(o.next_attempt_at, true)),
				o.response?.body && h('details', { open: o.outcome !== 'delivered' }, h('summary', `Response${o.response.truncated ? ', its beginning' : ''}`), h('pre.sunken.wrap.tall', { tabindex: '0' }, o.response.body))),
		]
	}))
}

// changed says where an attempt went another way than the one before: a retry goes by the rules in force when it goes out.
function changed(before, o) {
	const other = [o.endpoint !== before.endpoint && ['to ', h('code', o.endpoint)], o.rules_version !== before.rules_version && ['by rules ', link(`/versions?to=${o.rules_version}`, h('code', o.rules_version))]].filter(Boolean)
	return other.length > 0 && h('p.muted', 'Went ', other.flatMap((part, i) => (i ? [', ', ...part] : part)))
}

// form shows a form-encoded body by its parameters.
function form({ body }) {
	if (!body) return empty('An empty body')
	return [h('dl.params', [...new URLSearchParams(body)].map(([name, value]) => h('div', h('dt', name), h('dd', value)))), h('details', h('summary', 'As it went over the wire'), h('pre.wrap', body))]
}

// event shows the event as rules see it.
function event(e) {
	return panel('Event', link(`/try?seq=${e.seq}`, 'Try it against the rules in force'), facts(['Type', e.type], ['Stream sequence', String(e.seq)], ['Stored', time(e.at, true)], e.source && ['Source', e.source], e.size !== undefined && ['Size', bytes(e.size)]),
		e.error ? h('p.pad.badtext', e.error) : e.data && h('pre.tall', { tabindex: '0' }, JSON.stringify(e.data, null, 2)))
}
