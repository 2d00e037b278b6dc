// The filters that lists of deliveries share: rule, event type and endpoint, with what can be chosen.
import { get } from './api.js'
import { suggest } from './ui.js'

export function filters(set, signal) {
	const pick = (key) => (v) => set({ [key]: v })
	const f = { rule: suggest('Any rule', pick('rule')), type: suggest('course.*', pick('type')), endpoint: suggest('https://crm.example.com/*', pick('endpoint')) }
	const offer = (input, ask, values) => ask.then((a) => input.offer(values(a)), () => {})
	offer(f.rule, get('/rules', null, signal), (a) => a.rules.map((r) => r.name))
	offer(f.type, get('/event-types', null, signal), (a) => a.items)
	offer(f.endpoint, get('/breakdown', { by: 'endpoint', from: '7d', limit: 50 }, signal), (a) => a.items.map((i) => i.value).filter((v) => v !== '(other)'))
	signal.addEventListener('abort', () => Object.values(f).forEach((i) => i.drop()))
	return f
}

// read takes the named values out of an address.
export function read(query, names) {
	const asked = {}
	for (const k of names) if (query.get(k)) asked[k] = query.get(k)
	return asked
}
