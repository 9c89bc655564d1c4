/**
 * For the stories of faults: they are repeated nowhere, also where a test that was too slow gets a second chance. What
 * they look for is rare, and a loss that does not happen the second time is a loss.
 */
export const ONCE = { retry: 0 }
