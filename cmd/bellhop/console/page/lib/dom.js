// Elements without markup: all text becomes text nodes, so nothing that came from outside is ever parsed as HTML.

const SVG = 'http://www.w3.org/2000/svg'

function build(el, props, children) {
	for (const [key, value] of Object.entries(props ?? {})) {
		if (value === undefined || value === null || value === false) continue
		if (key.startsWith('on')) el.addEventListener(key.slice(2), value)
		else if (key === 'style') for (const [name, v] of Object.entries(value)) el.style.setProperty(name, v)
		else if (key === 'value' || key === 'checked') el[key] = value
		else el.setAttribute(key, value === true ? '' : value)
	}
	el.append(...flat(children))
	return el
}

// flat lists children: what is undefined, null or false is none.
export function flat(children) {
	return children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false)
}

// h makes an element: h('td.num', {title: 'x'}, 'text', child, [more]). Children that are null, undefined or false are left out.
export function h(spec, props, ...children) {
	const [tag, ...classes] = spec.split('.')
	if (props instanceof Node || typeof props !== 'object' || Array.isArray(props)) {
		children.unshift(props)
		props = null
	}
	const el = document.createElement(tag || 'div')
	if (classes.length) el.className = classes.join(' ')
	return build(el, props, children)
}

// svg makes an SVG element.
export function svg(tag, props, ...children) {
	return build(document.createElementNS(SVG, tag), props, children)
}

// fill replaces what an element holds.
export function fill(el, ...children) {
	el.replaceChildren(...flat(children))
	return el
}

// setText changes an element's text only where it differs, so that screen readers and selections are left alone.
export function setText(el, text) {
	if (el.textContent !== text) el.textContent = text
}

let ids = 0

// uid makes an id for a label and its control.
export function uid(prefix = 'u') {
	return `${prefix}-${++ids}`
}
