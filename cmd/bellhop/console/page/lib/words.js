// What names of the API are called on the page.

export const kinds = {
	timeout: 'Timeout', network: 'Network', tls: 'TLS', status: 'Status', blocked: 'Refused address', render: 'Rendering', event: 'Unreadable event', cancelled: 'Cancelled', other: 'Other',
}

export const dues = { '1m': 'in 1 minute', '5m': 'in 5 minutes', '1h': 'in 1 hour', '6h': 'in 6 hours', '24h': 'in 1 day', later: 'later', room: 'when there is room' }

export const states = { scheduled: 'Scheduled', due: 'Due', waiting: 'Waiting for room' }
