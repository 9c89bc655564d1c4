/** Tries to sign in to the console, of an address block. */
export const CONSOLE_RATES = { consoleSignIn: '10, 6/min' } as const
