/** What a running server says of itself. */

/** The samples of a metric that have these labels, summed up; 0 while there is none. */
export const readMetric = async (
  url: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Promise<number> => {
  const response = await fetch(`${url}/metrics`)
  if (!response.ok) throw new Error(`no metrics at ${url}: ${response.status}`)
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  let sum = 0
  for (const line of (await response.text()).split('\n')) {
    const [, sampled, itsLabels = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    if (sampled === name && wanted.every((label) => itsLabels.split(',').includes(label)))
      sum += Number(value)
  }
  return sum
}
