// What an event would send, and why not. It sends nothing.
import { get, getExact, post } from '../lib/api.js'
import { fill, h, setText } from '../lib/dom.js'
import { plural, when } from '../lib/format.js'
import { action, badge, empty, field, head, link, loading, options, panel, select, show, suggest } from '../lib/ui.js'

const sample = { user: { id: 42, first_name: 'Ada', last_name: 'Lovelace', email: 'ada@example.com' }, course: { id: 7, name: 'Analytical Engines', course_code: 'AE-1' }, score: 91.5 }

export function view({ root, query, signal, title, go }) {
	title('Try an event')
	let seq = ''
	// The picked event's type and text: it has an id and a time besides.
	let as = []
	const recent = select([['', 'Loading …']], (v) => v && go(`/try?seq=${v}`))
	const type = suggest('course.completed')
	const text = h('textarea', { rows: 18, spellcheck: 'false' })
	const wrong = h('p.badtext', { role: 'alert' })
	const sum = h('small', { role: 'status' })
	const result = h('div', empty('Nothing tried yet', 'Pick a recent event or paste one: which webhooks would be sent?'))

	const draw = (r) => {
		setText(sum, `${r.items.filter((i) => i.matched).length} of ${plural(r.items.length, 'webhook')} would be sent for ${r.type}`)
		return r.items.length ? h('ul.tried', r.items.map((i) => h('li', h('div.line', i.matched ? badge('ok', 'Would be sent') : badge('none', 'Not sent'), h('strong', link(`/rules/${i.rule}`, i.rule), ` / ${i.webhook}`)),
			i.matched ? h('pre.sunken.wrap', [`${i.request.method} ${i.request.url}`, ...Object.entries(i.request.headers).map((e) => e.join(': ')), '', i.request.body].join('\n')) : h('p', i.reason)))) : empty(`No rule is on ${r.type}`, link('/rules', 'The rules in force'))
	}
	const run = async () => {
		setText(wrong, '')
		try {
			JSON.parse(text.value)
		} catch (err) {
			setText(wrong, `This is not JSON: ${err.message}`)
			text.focus()
			return
		}
		fill(result, loading(6))
		// The text goes as it is: parsed, its numbers would lose digits.
		const named = type.value.trim() ? `"type":${JSON.stringify(type.value.trim())},` : ''
		await show(result, signal, async () => draw(await post('/try', as[0] === type.value && as[1] === text.value ? { seq: as[2] } : `{${named}"event":${text.value}}`)))
	}
	fill(root, head('Try an event', { note: h('span.muted', 'Sends nothing') }),
		h('div.cols', h('div.c5', panel('Event', null, h('div.pad.form', field('A recent event', recent), field('Type', type, 'A CloudEvent has its own.'), field('Event, as JSON', text), wrong, h('div', action('Try it', run, 'primary'))))),
			h('div.c7', panel('What it would send', sum, result))))

	const take = (q) => {
		seq = q.get('seq') ?? ''
		recent.value = seq
		if (!seq) {
			text.value ||= JSON.stringify(sample, null, 2)
			type.value ||= 'course.completed'
			return
		}
		fill(result, loading(6))
		show(result, signal, async () => {
			const e = await getExact(`/events/${seq}`, signal)
			type.value = e.type
			text.value = JSON.stringify(e.data, null, 2)
			as = [type.value, text.value, e.seq]
			return draw(await post('/try', { seq: e.seq }))
		})
	}
	take(query)
	get('/event-types', null, signal).then((t) => type.offer(t.items), () => {})
	get('/events', { limit: 50 }, signal).then(({ items }) => {
		const list = items.filter((e) => !e.error).map((e) => [String(e.seq), `${when(e.at)} · ${e.type} · ${e.seq}`])
		if (seq && !list.some(([v]) => v === seq)) list.push([seq, `event ${seq}`])
		fill(recent, options([['', list.length ? 'Choose one' : 'None is kept'], ...list]))
		recent.value = seq
	}, (err) => fill(recent, options([['', err.message]])))
	signal.addEventListener('abort', type.drop)
	return take
}
