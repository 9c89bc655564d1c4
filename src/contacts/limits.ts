/** What the registry of installations allows: shared by the service, which refuses more, and by its client. */

/** Live installations of one account. */
export const MAX_INSTALLATIONS = 20
/** What an installation is granted for unless less is asked for: 365 days. */
export const MAX_VALIDITY_S = 365 * 86_400

/**
 * The default rate limits, as a token bucket's size and refill: changes that an account makes, and requests for the did
 * document of one domain.
 */
export const CONTACTS_RATES = { installations: '60, 1/s', didDocuments: '10, 1/s' } as const
export type ContactsRate = keyof typeof CONTACTS_RATES
