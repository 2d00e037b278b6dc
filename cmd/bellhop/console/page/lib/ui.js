// The parts that views are made of.
import { fill, h, setText, svg, uid } from './dom.js'
import { num, rate, span, utc, when } from './format.js'
import { kinds } from './words.js'

// say tells screen readers, and nobody else.
export const say = (text) => setText(document.getElementById('said'), text)

// btn is a button; cls: primary, danger, quiet.
export const btn = (label, onclick, cls, props) => h(`button${cls ? '.' + cls : ''}`, { type: 'button', onclick, ...props }, label)

// action is a button for what may take a while: it is off until that is done, and says what went wrong.
export function action(label, fn, cls, props) {
	const b = btn(label, async () => {
		b.disabled = true
		b.setAttribute('aria-busy', 'true')
		try {
			await fn()
		} catch (err) {
			notice([err.message, err.next].filter(Boolean).join(' '), 'bad')
		}
		b.removeAttribute('aria-busy')
		b.disabled = false
	}, cls, props)
	return b
}

// notice shows a message for a while; problems stay until they are dismissed.
export function notice(text, kind = 'info') {
	const el = h(`div.notice.${kind}`, h('span', text), btn('Dismiss', () => el.remove(), 'quiet'))
	document.getElementById('notices').append(el)
	if (kind !== 'bad') setTimeout(() => el.remove(), 6000)
}

// link goes to another view; app.js takes the click.
export const link = (href, ...children) => h('a', { href }, ...children)

// time is a moment, with the exact one in its title.
export const time = (iso, millis) => (iso ? h('time', { datetime: iso, title: utc(iso) }, when(iso, millis)) : '–')

// head is a view's first line: where it belongs, its title, a note and what can be done.
export const head = (title, { crumb, note, end } = {}) =>
	h('div.head', h('div', crumb && h('p.crumb', crumb), h('h1', { tabindex: '-1' }, title)), note, h('div.end', end))

// panel is a section with a heading, and something at its right.
export function panel(title, aside, ...children) {
	const id = uid()
	return h('section.panel', { 'aria-labelledby': id }, h('header', h('h2', { id }, title), aside), ...children)
}

const outcomeNames = { delivered: 'Delivered', retrying: 'Retrying', failed: 'Failed', rejected: 'Rejected' }

// badge names a state, by shape and word as well as by colour.
export const badge = (cls, text = outcomeNames[cls] ?? cls) => h(`span.badge.${cls}`, text)

export const hook = (o) => [o.rule, h('span.muted', ' / '), o.webhook]

export const reason = (error) => [h('span.badtext', kinds[error.kind] ?? error.kind), ` ${error.message}`]

// empty is what stands where there is nothing to show.
export const empty = (title, ...more) => h('div.state', h('strong', title), more.length > 0 && h('p', ...more))

// failure is what stands where something could not be shown.
export const failure = (err, again) => h('div.state.bad', { role: 'alert' },
	h('strong', err.status === 0 ? 'No connection to the daemon' : err.title ?? 'Something went wrong'), h('p', err.message, err.next && ` ${err.next}`), again && btn('Try again', again))

// loading takes up the room that the content will, so that nothing jumps when it comes.
export const loading = (lines = 3, what = 'Loading') => h('div.loading', h('span.unseen', what + ' …'), Array.from({ length: lines }, () => h('i')))

// show fills a box with what make gives, or says why there is nothing. What was shown stays while the daemon is away.
export async function show(box, signal, make) {
	try {
		const content = await make()
		if (!signal.aborted && content !== undefined) fill(box, content)
	} catch (err) {
		if (signal.aborted || (err.status === 0 && !box.querySelector('.loading'))) return
		if (err.status === undefined) console.error(err)
		fill(box, failure(err, () => show(box, signal, make)))
	}
}

// column reads 'Name.class.class'; a name after ~ is for screen readers alone.
export function column(spec) {
	const [name, ...cls] = spec.split('.')
	return { name: name.replace('~', ''), hidden: name[0] === '~', cls: cls.map((c) => '.' + c).join('') }
}

export const headings = (columns) => h('thead', h('tr', columns.map((c) => h(`th${c.cls}`, { scope: 'col' }, c.hidden ? h('span.unseen', c.name) : c.name))))

// row makes a row; on narrow screens cells carry their column's name.
export const row = (columns, cells, props) => h('tr', props ?? null, cells.map((cell, i) => h(`td${columns[i].cls}`, { 'data-name': columns[i].hidden ? null : columns[i].name }, cell)))

// table makes a table of column specs and rows of cells; caption is for screen readers.
export function table(caption, specs, rows, cls = '') {
	const columns = specs.map(column)
	return h('div.scroll', { tabindex: '0', role: 'region', 'aria-label': caption }, h(`table${cls}`, headings(columns), h('tbody', rows.map((cells) => row(columns, cells)))))
}

// field is a labelled control.
export function field(label, control, hint) {
	const id = (control.id ||= uid())
	const note = hint && h('small', { id: id + '-hint' }, hint)
	if (note) control.setAttribute('aria-describedby', note.id)
	return h('div.field', h('label', { for: id }, label), control, note)
}

export const options = (list) => list.map(([value, text]) => h('option', { value }, text))

export const select = (list, onpick) => h('select', { onchange: (e) => onpick(e.target.value) }, options(list))

// suggest is a text field that offers values.
export function suggest(placeholder, onpick) {
	const id = uid()
	const list = h('datalist', { id })
	const input = h('input', { type: 'text', list: id, placeholder, autocomplete: 'off', spellcheck: 'false', onchange: () => onpick?.(input.value.trim()) })
	document.body.append(list)
	input.offer = (values) => fill(list, values.map((value) => h('option', { value })))
	input.drop = () => list.remove()
	return input
}

// bar shows a part of a whole; the number beside it says the same.
export const bar = (part, all, cls = '') => h(`span.bar${cls}`, { 'aria-hidden': 'true' }, h('i', { style: { width: `${all ? Math.min(100, (100 * part) / all) : 0}%` } }))

// bars is a list of names, counts and bars.
export function bars(items, cls) {
	const most = Math.max(1, ...items.map((i) => i[1]))
	return h('ul.bars', items.map(([name, n]) => h('li', h(n ? 'span' : 'span.muted', name), bar(n, most, cls), h('span.num', num(n)))))
}

// facts is a list of names and values; what has no value is left out.
export const facts = (...pairs) => h('dl.facts', pairs.filter(Boolean).map(([name, ...value]) => h('div', h('dt', name), h('dd', ...value))))

// copyable is a text in monospace with a button that copies it.
export function copyable(text) {
	const b = btn('Copy', async () => {
		await navigator.clipboard?.writeText(text).then(() => (b.textContent = 'Copied'), () => (b.textContent = 'Not allowed'))
		setTimeout(() => (b.textContent = 'Copy'), 1500)
	}, 'quiet', { 'aria-label': `Copy ${text}` })
	return h('span.copyable', h('code', text), b)
}

// until counts down to a time, until the signal ends it.
export function until(iso, signal, over = 'due now') {
	const el = h('time', { datetime: iso, title: utc(iso) })
	const tick = () => {
		const s = (new Date(iso) - Date.now()) / 1000
		setText(el, s > 0 ? `in ${span(Math.ceil(s))}` : over)
	}
	tick()
	const timer = setInterval(tick, 1000)
	signal.addEventListener('abort', () => clearInterval(timer))
	return el
}

export const errorRate = (c) => h(c.errors ? 'span.badtext' : 'span.muted', rate(c.errors, c.calls))

// dialog asks; build(close) gives its content. It resolves with what close was called with.
export function dialog(title, build) {
	return new Promise((resolve) => {
		const id = uid()
		const el = h('dialog', { 'aria-labelledby': id, onclose: () => {
			el.remove()
			resolve(el.answer)
		} })
		const close = (answer) => {
			el.answer = answer
			el.close()
		}
		el.append(h('h2', { id }, title), ...build(close))
		document.body.append(el)
		el.showModal()
	})
}

// confirm asks before something is done.
export const confirm = (title, text, label, cls = '') => dialog(title, (close) => [
	h('p', text), h('footer', btn('Back', () => close(false)), btn(label, () => close(true), 'primary' + cls)),
])

// spark draws calls as an area and errors as a line, on one scale.
export function spark(points, label) {
	if (points.length === 1) points = [points[0], points[0]]
	const [width, height, n] = [160, 36, points.length]
	const max = Math.max(1, ...points.map((p) => Math.max(p.calls, p.errors)))
	const path = (key) => points.map((p, i) => `${i ? 'L' : 'M'}${((i * width) / Math.max(1, n - 1)).toFixed(1)} ${(height - 1 - (p[key] / max) * (height - 3)).toFixed(1)}`).join('')
	return svg('svg', { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', class: 'spark', ...(label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' }) },
		n > 0 && svg('path', { class: 'area', d: `${path('calls')}V${height}H0Z` }), svg('path', { d: path('calls') }), points.some((p) => p.errors) && svg('path', { class: 'errors', d: path('errors') }))
}
