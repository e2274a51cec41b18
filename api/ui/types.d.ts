// Types of the API's JSON documents, as far as the pages read them.

export interface Tags {
  [name: string]: string;
}

export interface JobSummary {
  counts: Record<string, number>;
  drift: Record<string, number>;
  drift_rows: number;
  out_of_range: Record<string, number>;
}

export interface RowResult {
  row: number;
  line?: number;
  label?: string;
  probabilities?: Record<string, number>;
  error?: { field?: string | null; detail: string };
}

export interface Job {
  id: string;
  state: string;
  model: { name: string; version: string };
  outputs: string[];
  labels: Tags;
  rows: { total: number; succeeded: number; failed: number };
  progress: number;
  eta_seconds: number | null;
  queue?: { rows_ahead: number } | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  expires_at: string | null;
  retry_of?: string | null;
  warnings: string[];
  error: { detail: string } | null;
  summary: JobSummary;
  results?: RowResult[] | null;
  links: { self: string; results: string; errors: string; retry?: string | null };
}

export interface ResultsPage {
  results: RowResult[];
}

export interface JobsPage {
  jobs: Job[];
  next_page_token: string | null;
}

export interface FieldError {
  pointer?: string;
  detail: string;
}

export interface ProblemDocument {
  detail?: string;
  errors?: FieldError[];
}

/** What `problem` of dom.js shows: a Problem, an Error, or a title and a message. */
export interface Failure {
  title?: string;
  message: string;
  errors?: FieldError[];
}
