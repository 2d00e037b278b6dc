// Sending again, or cancelling, many at once: count, confirm, and follow to the end.
import { del, get, post } from '../lib/api.js'
import { fill, h, setText } from '../lib/dom.js'
import { num, plural } from '../lib/format.js'
import { btn, dialog, failure, loading } from '../lib/ui.js'

const words = {
	retry: {
		title: 'Send failed deliveries again', ask: (n) => `${plural(n, 'failed delivery', 'failed deliveries')} will be sent again.`, none: 'No failed delivery matches.', yes: 'Send again', done: 'sent again', skipped: 'no longer failed', cls: 'primary',
		by: ['rule', 'webhook', 'endpoint', 'type', 'kind', 'from', 'to', 'q'],
		note: 'Each is a new run under the same webhook-id, with the body as it was first, to the endpoint and with the headers and secrets now in force.',
	},
	cancel: {
		title: 'Cancel pending attempts', ask: (n) => `${plural(n, 'pending attempt')} will be called off.`, none: 'No pending attempt matches.', yes: 'Call them off', done: 'cancelled', skipped: 'no longer pending', cls: 'primary.danger',
		by: ['state', 'rule', 'webhook', 'endpoint', 'type', 'kind', 'q'],
		note: 'Their deliveries end as failed, of kind cancelled. They can be sent again later.',
	},
}

// What filters of lists are called where they do not apply: outcomes that have been are no attempts to come.
const unlike = { from: 'time', to: 'time', outcome: 'outcome' }

// bulk asks for a count of what the filters take, and does it when confirmed. It resolves with whether anything was done.
export function bulk(act, asked) {
	const w = words[act]
	const filter = {}
	for (const k of w.by) if (asked[k]) filter[k] = ['from', 'to', 'q'].includes(k) ? asked[k] : [asked[k]]
	const left = Object.keys(asked).filter((k) => !w.by.includes(k) && unlike[k])
	const taken = Object.entries(filter).map(([k, v]) => h('li', h('span.muted', `${k}: `), h('code', String(v))))

	return dialog(w.title, (close) => {
		const box = h('div', loading(3, 'Counting'))
		const foot = h('footer', btn('Back', () => close(false)))
		const count = async () => {
			try {
				const c = await post('/operations', { action: act, filter })
				fill(box, h('p', h('strong', c.count ? w.ask(c.count) : w.none)), taken.length ? h('ul.plain', taken) : h('p.muted', 'No filter is set: all of them are taken.'), left.length > 0 && act === 'cancel' && h('p.warntext', `The filter by ${[...new Set(left.map((k) => unlike[k]))].join(' and ')} does not apply to attempts to come.`), c.count > 0 && h('p', h('small', w.note)))
				if (!c.count) return
				foot.append(btn(`${w.yes} (${num(c.count)})`, () => run(c), w.cls))
				foot.lastChild.focus()
			} catch (err) {
				fill(box, failure(err, count))
			}
		}
		const run = async (c) => {
			const line = h('p', { role: 'status' })
			const meter = h('progress', { max: c.count, 'aria-label': w.title })
			const stop = btn('Stop', () => del(`/operations/${op.id}`).catch(() => {}))
			let op = {}
			fill(box, meter, line)
			fill(foot, stop)
			try {
				op = await post('/operations', { action: act, filter, until: c.until, confirm: true })
				for (;;) {
					meter.max = Math.max(1, op.total)
					meter.value = op.state === 'done' ? meter.max : op.done + op.skipped + op.failed
					setText(line, [`${num(op.done)} of ${num(op.total)} ${w.done}`, op.skipped && `${num(op.skipped)} ${w.skipped}`, op.failed && `${num(op.failed)} went wrong`, op.state === 'stopped' && 'stopped'].filter(Boolean).join(', '))
					if (op.state !== 'running') break
					await new Promise((resolve) => setTimeout(resolve, 400))
					op = await get(`/operations/${op.id}`)
				}
				if (op.errors?.length) box.append(h('ul.plain.badtext', op.errors.map((e) => h('li', e))))
			} catch (err) {
				fill(box, failure(err))
			}
			fill(foot, btn('Close', () => close(true), 'primary'))
			foot.lastChild.focus()
		}
		count()
		return [box, foot]
	})
}
