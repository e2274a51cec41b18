// Sends the pasted rows as a job, waits for it, and shows a label for each row.

const form = document.querySelector("#beans");
const status = document.querySelector("#status");
const table = document.querySelector("#answers");

function parseRows(text) {
  return text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) =>
    line.split(/[\s,;]+/).filter(Boolean).map((word) => (word === "" || Number.isNaN(Number(word)) ? word : Number(word))));
}

async function ask(url, options) {
  const answer = await fetch(url, options);
  const document = await answer.json();
  if (!answer.ok) throw new Error(document.detail);
  return document;
}

async function predict(instances) {
  let job = await ask("/jobs", {
    method: "POST",
    headers: { "Content-Type": "application/json", Prefer: "wait=10" },
    body: JSON.stringify({ instances, outputs: ["label", "probabilities"] }),
  });
  while (!job.finished_at) {
    status.textContent = `The job is ${job.state} …`;
    job = await ask(job.links.self, { headers: { Prefer: "wait=10" } });
  }
  return job.results ?? (await ask(job.links.results)).results;
}

function show(rows) {
  table.tBodies[0].replaceChildren(...rows.map((row) => {
    const best = row.label && row.probabilities ? row.probabilities[row.label].toFixed(3) : "";
    const line = document.createElement("tr");
    for (const text of [row.row + 1, row.label ?? row.error.detail, best]) {
      line.insertCell().textContent = text;
    }
    return line;
  }));
  table.hidden = false;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  table.hidden = true;
  status.textContent = "Sent …";
  try {
    show(await predict(parseRows(document.querySelector("#rows").value)));
    status.textContent = "";
  } catch (error) {
    status.textContent = error.message;
  }
});
