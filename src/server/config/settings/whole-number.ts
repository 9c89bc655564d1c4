import * as z from 'zod'

/** A whole number in a setting: a number in a file, digits in the environment or behind a flag. */
export const wholeNumber = (least: number, most: number) =>
  z
    .union([
      z.number(),
      z
        .string()
        .regex(/^\d{1,9}$/)
        .transform(Number),
    ])
    .pipe(z.number().int().min(least).max(most))
