// Package worker runs tasks written in Go beside Python's Celery workers, on the
// same queues.
//
//	w := worker.New(worker.Config{Broker: b, Backend: results})
//	worker.Must(worker.Func(w, "tasks.add", func(ctx context.Context, x, y int) (int, error) {
//		return x + y, nil
//	}, worker.Params("x", "y")))
//	err := w.Run(ctx) // until ctx ends, then a warm shutdown
//
// Three forms register a task: [Func] takes a function with named parameters,
// [Handle] a function of one struct, [Raw] a function of the undecoded [Task].
// An error that a task returns becomes a FAILURE that Python raises; a panic
// becomes one with a Go stack; [Retry], [Reject], [Ignore] and [Replace] steer as
// in Celery. What a task sends under its context is its child ([Client],
// [AddToChord]). [Errback] registers an error callback that sees the exception.
//
// A Worker owns neither broker nor backend: close them after Run has returned.
// Register everything before Run.
package worker
