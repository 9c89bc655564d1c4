/** How often an address may have a node asked: nodes are paid for by the operator. */
export const CHAIN_RATES = { chainCall: '30, 1/s' } as const
