/** It is imported for its rules. */
export {}
