// Runs before the page is drawn, so that nothing flashes in the other theme.
;(() => {
	const root = document.documentElement
	const asked = new URLSearchParams(location.search).get('theme')
	let chosen = null
	try {
		chosen = localStorage.getItem('bellhop-theme')
	} catch {
		// A frame on a foreign page may not store anything.
	}
	const theme = root.classList.contains('embedded') ? asked : chosen
	if (theme === 'light' || theme === 'dark') root.dataset.theme = theme
})()
